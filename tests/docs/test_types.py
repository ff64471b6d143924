"""A type checker accepts the modules of all pages, and sees the mistakes that pages show."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, PYTHON, ROOT, Block, read

CONFIGURATION = {"typeCheckingMode": "standard", "pythonVersion": "3.12"}


def is_mistaken(block: Block) -> bool:
    return block.output is not None and "Error: " in block.output


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What basedpyright reports, by the page and the file that it is about."""
    folder = tmp_path_factory.mktemp("pages")
    for page in PAGES:
        for block in read(page.read_text(encoding="utf-8")):
            if block.file and block.language in PYTHON:
                path = folder / page.stem / ("mistaken" * is_mistaken(block)) / block.file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text, encoding="utf-8")
    return _reported(folder)


def _reported(folder: Path) -> dict[str, str]:
    roots = [
        {"root": str(path), "extraPaths": [str(path.parent)] * (path.name == "mistaken")}
        for path in sorted(folder.rglob("*"), reverse=True)
        if path.is_dir()
    ]
    configuration = folder / "pyrightconfig.json"
    configuration.write_text(json.dumps(CONFIGURATION | {"executionEnvironments": roots}))
    command = ["basedpyright", "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run(
        [Path(sys.executable).parent / command[0], *command[1:], "-p", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    found: dict[str, str] = {}
    for one in json.loads(done.stdout)["generalDiagnostics"]:
        file = str(Path(one["file"]).relative_to(folder))
        found[file] = found.get(file, "") + one["message"] + "\n"
    return found


def test_the_modules_of_pages_are_typed(errors: dict[str, str]) -> None:
    assert {file: told for file, told in errors.items() if "/mistaken/" not in file} == {}


def test_a_checker_sees_what_the_authoring_page_does_wrong(errors: dict[str, str]) -> None:
    told = errors["authoring/mistaken/orders.py"]
    assert "adress" in told
    assert "cents" in told
