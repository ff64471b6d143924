import ast
import subprocess
import sys
from pathlib import Path

import pytest

from examples.minimal_host import commands
from examples.minimal_host.checks import Checks
from examples.minimal_host.smoke import SCENARIOS
from examples.minimal_host.workflows_api import WorkflowsApi
from tests.conformance import conforms

ROOT = Path(__file__).parents[2]
HOST = ROOT / "examples" / "minimal_host"

CALLS = {
    "start_payment_recovery",
    "start_dependency_recovery",
    "start_manual_approval",
    "start_cancellable_wait",
    "start_retry_verification",
    "start_refund",
    "inspect_run",
    "cancel_run",
    "unblock_run",
    "approve_run",
    "reject_run",
    "replay_run",
    "list_daily_digest_runs",
}

CANCELLED = """\
A delivery is called off (cancel, asleep)
  ok   status: cancelled
A payment is called off (cancel, a body under way)
  ok   status: cancelling
  ok   status: cancelled
  ok   notified: False
"""

FAILED_ONCE = """\
  ok   status: retrying
  ok   status: completed
  ok   failures: ['retry_later', None]
  ok   probe: {'attempt_id': 'probe-1', 'status': 'ok'}
"""

TAKEN_OVER = """\
  ok   attempts: ['interrupted', 'completed']
  ok   the gateway was asked: 2
"""


def said_by(*arguments: str) -> str:
    """What a command prints that ends as it should."""
    command = [sys.executable, "-m", "examples.minimal_host", *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
    return ended.stdout


@conforms("S202", "S204", "S205", "S209")
def test_smoke_plays_everything_and_every_check_holds(dsn: str) -> None:
    said = said_by("smoke", "--dsn", dsn)

    assert [title for title in SCENARIOS if f"{title}\n  ok   " not in said] == []
    assert CANCELLED in said
    assert FAILED_ONCE in said
    assert "NOT" not in said
    assert said.endswith("53 checks, 0 failed.\n")


@conforms("S206", "S208")
def test_runs_go_on_over_restarts_and_a_kill(dsn: str) -> None:
    said = said_by("resilience", "--dsn", dsn)

    assert said.count("when the application stops\n") == 3
    assert said.count("Started again: ") == 5
    assert TAKEN_OVER in said
    assert said.endswith("19 checks, 0 failed.\n")


@conforms("S207")
def test_soak_plays_rounds_and_leaves_nothing_behind(dsn: str) -> None:
    said = said_by("soak", "--dsn", dsn, "--seconds", "0.1")

    expected = "successful_runs=12, replayed_runs=2, retried_runs=3, cancelled_runs=3"
    assert f"Tally(rounds=1, {expected})" in said
    assert "  ok   never ended: []\n" in said
    assert said.endswith("2 checks, 0 failed.\n")


def test_a_command_brings_a_postgres_of_its_own() -> None:
    assert said_by("soak", "--seconds", "0").endswith("2 checks, 0 failed.\n")


@conforms("S203")
def test_the_boundary_has_a_call_for_each_thing() -> None:
    assert sorted(name for name in CALLS if not callable(getattr(WorkflowsApi, name, None))) == []


def test_only_workflows_and_their_boundary_know_squid_mesh() -> None:
    knowing = {
        file.relative_to(HOST).parts[0]
        for file in HOST.rglob("*.py")
        for module in imports(file)
        if module.partition(".")[0] == "squid_mesh"
    }
    assert knowing == {"workflows", "workflows_api.py", "commands.py"}
    assert list(imports(HOST / "commands.py")).count("squid_mesh.embedded") == 1
    assert "squid_mesh" not in {m for m in imports(HOST / "commands.py") if "." not in m}


def imports(file: Path) -> list[str]:
    """The modules that a file imports, and the names from the package's root with it."""
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    plain = [name.name for node in nodes if isinstance(node, ast.Import) for name in node.names]
    return plain + [
        f"{node.module}.{name.name}" if node.module == "squid_mesh" else str(node.module)
        for node in nodes
        if isinstance(node, ast.ImportFrom) and not node.level
        for name in node.names
    ]


def test_what_is_not_as_expected_is_said_and_fails(capsys: pytest.CaptureFixture[str]) -> None:
    checks = Checks()
    with checks.about("A run"):
        checks.that("status", "failed", "completed")
    assert checks.verdict() == 1
    said = "A run\n  NOT  status: failed, expected completed\n1 checks, 1 failed.\n"
    assert capsys.readouterr().out == said


def test_what_raises_is_a_check_that_failed(capsys: pytest.CaptureFixture[str]) -> None:
    checks = Checks()
    with checks.about("A run"):
        raise LookupError("no such run")
    assert checks.verdict() == 1
    assert "  NOT  nothing is raised: LookupError: no such run" in capsys.readouterr().out


def test_no_check_at_all_is_no_success() -> None:
    assert Checks().verdict() == 1


def test_a_check_that_fails_fails_the_command(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def smoke(_: str, checks: Checks) -> None:
        checks.that("status", "failed", "completed")

    monkeypatch.setattr(commands, "smoke", smoke)
    assert commands.main(["smoke", "--dsn", dsn]) == 1


def test_a_command_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as told:
        commands.main(["walk"])
    assert told.value.code == 2
    assert "invalid choice: 'walk'" in capsys.readouterr().err
