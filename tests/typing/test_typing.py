"""What a type checker says of workflows: nothing of good ones, something of every mistake."""

import importlib
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ACCEPTED = sorted(path for path in (HERE / "accepted").glob("*.py") if path.stem != "__init__")
REJECTED = sorted(path for path in (HERE / "rejected").glob("*.py") if path.stem != "__init__")
MARK = "# rejected: "

type Place = tuple[Path, int]


def _output(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    return done.stdout


@cache
def mypy() -> dict[Place, str]:
    """What mypy's strict mode reports, by place."""
    files = map(str, ACCEPTED + REJECTED)
    options = ("--strict", "--config-file=", "--python-version=3.12", "--output=json")
    lines = _output(sys.executable, "-m", "mypy", *options, *files).splitlines()
    errors = [json.loads(line) for line in lines]
    return {
        (ROOT / error["file"], error["line"]): error["message"]
        for error in errors
        if error["severity"] == "error"
    }


@cache
def pyright() -> dict[Place, str]:
    """What pyright's strict mode reports, by place."""
    program = str(Path(sys.executable).with_name("basedpyright"))
    command = (program, "--outputjson", "--pythonpath", sys.executable, "-p", str(HERE))
    diagnostics = json.loads(_output(*command))["generalDiagnostics"]
    return {
        (Path(found["file"]), found["range"]["start"]["line"] + 1): found["message"]
        for found in diagnostics
    }


CHECKERS = [mypy, pyright]


def marked(path: Path) -> dict[int, str]:
    """The mistakes planted in a file, by line."""
    lines = enumerate(path.read_text().splitlines(), 1)
    return {number: line.partition(MARK)[2] for number, line in lines if MARK in line}


@pytest.mark.parametrize("checker", CHECKERS, ids=["mypy", "pyright"])
@pytest.mark.parametrize("path", ACCEPTED, ids=lambda path: path.stem)
def test_nothing_is_reported_of_a_good_example(path: Path, checker: type) -> None:
    assert {line: said for (file, line), said in checker().items() if file == path} == {}


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda path: path.stem)
def test_a_good_example_can_be_imported(path: Path) -> None:
    importlib.import_module(f"tests.typing.accepted.{path.stem}")


@pytest.mark.parametrize("checker", CHECKERS, ids=["mypy", "pyright"])
@pytest.mark.parametrize("path", REJECTED, ids=lambda path: path.stem)
def test_every_planted_mistake_is_reported_and_nothing_else(path: Path, checker: type) -> None:
    said = {line: message for (file, line), message in checker().items() if file == path}
    planted = marked(path)

    missed = {line: why for line, why in planted.items() if line not in said}
    unexpected = {line: message for line, message in said.items() if line not in planted}
    assert missed == {}
    assert unexpected == {}
