"""The README's quick start, executed as it is written, in an empty folder."""

import asyncio
import re
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def blocks() -> dict[str, str]:
    """The quick start's files by name, and what the README says they print."""
    text = README.read_text(encoding="utf-8").split("## Quick start", 1)[1]
    files = dict(re.findall(r"`(\w+\.py)`\n\n```python\n(.*?)```", text, re.DOTALL))
    (printed,) = re.findall(r"```\n(charge .*?)```", text, re.DOTALL)
    return files | {"printed": printed}


async def test_the_quick_start_prints_what_the_readme_says(tmp_path: Path) -> None:
    written = blocks()
    for name in ("orders.py", "main.py"):
        (tmp_path / name).write_text(written[name], encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "main.py",
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert out.decode() == written["printed"]
