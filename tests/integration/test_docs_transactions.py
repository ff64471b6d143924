"""The examples of docs/transactions.md, executed as they are written, in an empty folder."""

import asyncio
import re
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "transactions.md"


def examples() -> tuple[dict[str, str], str]:
    """The page's files by name, and what it says they print."""
    text = PAGE.read_text(encoding="utf-8")
    files = dict(re.findall(r"`(\w+\.py)`\n\n```python\n(.*?)```", text, re.DOTALL))
    assert text.count("```python") == len(files), "every example has a file"
    (printed,) = re.findall(r"It prints\n\n```\n(.*?)```", text, re.DOTALL)
    return files, printed


async def test_the_page_prints_what_it_says(tmp_path: Path) -> None:
    files, printed = examples()
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "main.py",
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert out.decode() == printed
