"""`squid-mesh check`: every problem of a host's code at once, without a database."""

import sys
from pathlib import Path

import pytest

from tests.cli.program import run

STEPS = """
from squid_mesh import Mesh, NoPayload, Payload, Workflow, complete, resource, step

class Client: ...

async def fetch(client: Client, url: str) -> str:
    return url

async def send(text: str) -> None: ...
"""

BROKEN = """
from steps import *

class First(Workflow[NoPayload]):
    one = step(send).takes()
    two = step(send).takes(txt="hello")

class Hiding(Payload):
    copy: str

class Second(Workflow[Hiding]):
    fetch = step(fetch).takes(resource(Client), url="…")
    flow = fetch
"""

MESH = """
import broken
from steps import *
from broken import First, Second

class Third(Workflow[NoPayload]):
    fetch = step(fetch, queue="slow").takes(resource(Client), url="…")

class Fourth(Workflow[NoPayload], name="Third"):
    fetch = step(fetch).takes(resource(Client), url="…")

DSN = "postgresql://nowhere"

def lacking() -> Mesh:
    return Mesh.connect(DSN, workflows=[First, Second, Third], queues={"squid_mesh": 1})

def misnamed() -> Mesh:
    workflows = [First, Third, Fourth]
    return Mesh.connect(DSN, workflows=workflows, queues={}, name="a-b", schema="A")

def sound() -> Mesh:
    return Mesh.connect(DSN, workflows=[Third], queues={"squid_mesh": 1}, resources=[Client()])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A host's code."""
    for name, text in {"steps": STEPS, "broken": BROKEN, "app": MESH}.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    return tmp_path


OF_DEFINITIONS = [
    "broken.py:5: First: ",
    "broken.py:6: First: ",
    "broken.py:6: First: ",
    "broken.py:8: Hiding: payload field 'copy' hides",
    "broken.py:12: Second: flow holds step 'fetch' alone",
    "broken.py:12: Second: step 'fetch' is assigned to several names",
]


@pytest.mark.parametrize(
    ("target", "of_mesh"),
    [
        ("app:lacking", ["Third.fetch takes resource steps:Client, which this mesh doesn't have"]),
        (
            "app:misnamed",
            [
                "schema='A' is no plain identifier",
                "two workflows are called 'Third'",
                "name='a-b': use letters",
            ],
        ),
    ],
)
async def test_every_problem_of_every_definition_and_of_the_mesh_is_told_at_once(
    folder: Path, target: str, of_mesh: list[str]
) -> None:
    ended = await run("check", target, cwd=folder)
    lines = ended.out.splitlines()
    expected = OF_DEFINITIONS + of_mesh
    for line, beginning in zip(lines, expected, strict=True):
        assert line.startswith(beginning)
    assert (ended.code, ended.err) == (1, f"Error: {len(expected)} problems\n")


async def test_what_ends_the_import_is_told_after_what_was_found(folder: Path) -> None:
    (folder / "late.py").write_text("import broken\n\n1 / 0\n", encoding="utf-8")
    ended = await run("check", "late:mesh", cwd=folder)
    *found, last = ended.out.splitlines()
    assert len(found) == len(OF_DEFINITIONS)
    assert last == "late can't be imported: ZeroDivisionError: division by zero (late.py:3)"
    assert ended.code == 1


async def test_what_is_right_is_named_and_queues_of_other_processes_are_noted(
    folder: Path,
) -> None:
    (folder / "broken.py").write_text("First = Second = None", encoding="utf-8")
    ended = await run("check", "app:sound", cwd=folder)
    assert ended.out.splitlines() == [
        (
            "note: Third.fetch waits in queue 'slow', which this Oban doesn't serve: "
            "another process has to"
        ),
        "Third: no problems",
    ]
    assert (ended.code, ended.err) == (0, "")


@pytest.mark.parametrize(
    "target",
    ["connected", "on_own_pool", "made", "made_later", "around", "with_open_pool", "Nested.inner"],
)
async def test_a_mesh_of_any_form_is_checked_without_a_database(target: str) -> None:
    ended = await run("check", f"tests.cli.host:{target}")
    assert ended.code == 0
    assert ended.out == "Tell, Second, Held, Endless, Leaving, Blocking: no problems\n"


@pytest.mark.parametrize(
    ("target", "sentence", "hint"),
    [
        ("tests.cli.host", "'tests.cli.host' names no mesh", "write module:name"),
        (":mesh", "':mesh' names no mesh", "write module:name"),
        ("tests/cli/host.py:made", "'tests/cli/host.py:made' names no mesh", "write module:name"),
        ("tests.cli.hots:made", "there is no module 'tests.cli.hots'", "set PYTHONPATH"),
        (
            "tests.cli.host:mash",
            "tests.cli.host has no 'mash'",
            "it has connected, patient, soon_blocked, idle, elsewhere, on_own_pool; write",
        ),
        ("tests.cli.program:mesh", "tests.cli.program has no 'mesh'", "it has no mesh; write"),
        ("tests.cli.host:number", "of type int, not a mesh", "name a Mesh, or a function"),
        ("tests.cli.host:nothing", "tests.cli.host:nothing is None, not a mesh", "name a Mesh"),
        (
            "tests.cli.host:demanding",
            "can't be called without arguments: missing a required argument: 'dsn'",
            "give it defaults",
        ),
        ("tests.cli.host:undecorated", "is a generator", "@contextlib.asynccontextmanager"),
        (
            "tests.cli.host:failing",
            "tests.cli.host:failing can't be made: RuntimeError: the vault is sealed (tests/cli/",
            "",
        ),
    ],
)
async def test_what_is_no_mesh_is_told_in_a_sentence_and_a_hint(
    target: str, sentence: str, hint: str
) -> None:
    ended = await run("check", target)
    first, *rest = ended.err.splitlines()
    assert first.startswith("Error: ")
    assert sentence in first
    assert hint in "".join(rest)
    assert (ended.code, ended.out) == (1, "")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("import nowhere", "app can't be imported: ModuleNotFoundError: No module named 'nowhere'"),
        ("\nmesh = (", "app can't be imported: SyntaxError: '(' was never closed (app.py, line 2)"),
        ("exit(3)", "app can't be imported: SystemExit: 3 (app.py:1)"),
        ("raise ValueError", "app can't be imported: ValueError (app.py:1)"),
    ],
)
async def test_what_cannot_be_imported_is_told_with_its_line(
    tmp_path: Path, text: str, sentence: str
) -> None:
    (tmp_path / "app.py").write_text(text, encoding="utf-8")
    ended = await run("check", "app:mesh", cwd=tmp_path)
    assert ended.code == 1
    assert ended.err.startswith(f"Error: {sentence}")
    assert 'Hint: `python -c "import app"` shows all of it' in ended.err


async def test_without_its_extra_the_program_says_what_to_install(tmp_path: Path) -> None:
    lacking = "import sys; sys.modules['click'] = None; from squid_mesh.cli import main; main()"
    ended = await run("-c", lacking, program=sys.executable, cwd=tmp_path)
    assert ended.code == 1
    assert ended.err == 'Error: click is missing.\nHint: pip install "squid-mesh[cli]"\n'
