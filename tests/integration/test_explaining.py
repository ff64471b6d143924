"""Runs that are really in each situation are explained; what is shown is what the docs say."""

import json
import os
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from squid_mesh import ENDED, Action, InvalidRunId, Reason, RunNotFound
from tests.integration.looking import SCENES, Stage, explained
from tests.meshes import QUEUE, history, step_of

DOCS = Path(__file__).parents[2] / "docs" / "explain.md"


@pytest.fixture
async def stage(dsn: str) -> AsyncGenerator[Stage]:
    stage = Stage(dsn)
    async with stage.stack:
        yield stage
        stage.probe.gate.set()


@pytest.mark.parametrize("reason", Reason)
async def test_a_run_in_each_situation_is_explained(stage: Stage, reason: Reason) -> None:
    mesh, run_id = await SCENES[reason](stage)
    cause = await explained(mesh, run_id, reason)
    whole = await mesh.explain_run(run_id)
    run = await mesh.inspect_run(run_id)

    assert cause.sentence.count("\n") == 0
    assert cause.sentence[-1] in ".!" or run.error is not None or "tried again" in cause.sentence
    assert (cause.since is None) <= (reason is Reason.WORKER_GONE)
    assert (cause.moves is None) == (run.status in ENDED or reason is Reason.ADRIFT)
    assert cause.actions
    assert whole.run_id == run_id
    assert whole.workflow == run.workflow
    assert whole.evidence["run"]["status"] == whole.status
    json.dumps([whole.details, whole.evidence, [other.details for other in whole.others]])
    told = dict(rows())[reason]
    assert re.fullmatch(told.sentence, cause.sentence), (told.sentence, cause.sentence)
    assert {str(action.action) for action in cause.actions} <= told.actions


# the docs


@dataclass(frozen=True)
class Row:
    """What the docs say of a reason: its sentence as a pattern, and what can be done."""

    sentence: str
    actions: frozenset[str]


def rows() -> list[tuple[str, Row]]:
    found = re.findall(
        r"^\| `(\w+)` \| (.+) \| ((?:`\w+`(?:, )?)+) \|$",
        DOCS.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    return [
        (reason, Row(pattern(sentence), frozenset(re.findall(r"\w+", actions))))
        for reason, sentence, actions in found
    ]


def pattern(sentence: str) -> str:
    """A sentence of the docs, with what is filled in and what may be missing."""
    filled = re.sub(r"\\{.+?\\}", ".+?", re.escape(sentence))
    return filled.replace(r"\[", "(?:").replace(r"\]", ")?")


def test_the_docs_have_every_reason_in_its_order() -> None:
    assert [reason for reason, _ in rows()] == list(Reason)


def test_the_docs_have_every_action() -> None:
    table = DOCS.read_text(encoding="utf-8").split("## Actions", 1)[1]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(Action)


# what else it says


async def test_a_malformed_or_unknown_id_is_refused(stage: Stage) -> None:
    mesh = await stage.reader()
    with pytest.raises(InvalidRunId):
        await mesh.explain_run("7")
    with pytest.raises(RunNotFound):
        await mesh.explain_run(uuid4())


async def test_a_place_in_a_queue_is_counted(stage: Stage) -> None:
    mesh, run_id = await SCENES[Reason.QUEUED](stage)
    found = await mesh.explain_run(run_id)
    assert found.sentence == f"work is ready: 1 job is ahead of it in queue {QUEUE!r}."
    assert (found.details["ahead"], found.details["limit"]) == (1, 1)
    assert found.evidence["job"]["state"] == "available"
    assert [producer["limit"] for producer in found.evidence["queue"]] == [1]


async def test_a_sleep_says_until_when(stage: Stage) -> None:
    mesh, run_id = await SCENES[Reason.SLEEPING](stage)
    found = await explained(mesh, run_id, Reason.SLEEPING)
    nap = step_of(await history(mesh, run_id), "nap")
    assert found.moves_at == nap.due_at
    whole = await mesh.explain_run(run_id)
    assert [(other.step, other.reason) for other in whole.others] == [
        ("last", Reason.WAITING_FOR_DEPENDENCIES)
    ]


async def test_a_parked_step_says_what_changed_and_who_lives(stage: Stage) -> None:
    mesh, run_id = await SCENES[Reason.PARKED](stage)
    found = await explained(mesh, run_id, Reason.PARKED)
    name = "tests.laws.versions:extra"
    assert found.details["action"] == name
    assert found.details["changes"] == [f"no code of this process is called {name}"]
    assert [process.endswith(f"({os.getpid()})") for process in found.details["processes"]] == [
        True
    ]
    assert found.details["processes_with_the_action"] == []


async def test_a_dead_worker_is_named_and_its_takeover_dated(stage: Stage) -> None:
    mesh, run_id = await SCENES[Reason.WORKER_GONE](stage)
    found = await explained(mesh, run_id, Reason.WORKER_GONE)
    assert found.details["on_interrupt"] == "retry"
    assert found.actions[0].action is Action.START_PROCESS
    assert found.moves_at is None


async def test_an_approval_says_its_deadline(stage: Stage) -> None:
    mesh, run_id = await SCENES[Reason.AWAITING_APPROVAL](stage)
    found = await explained(mesh, run_id, Reason.AWAITING_APPROVAL)
    assert found.since is not None
    assert found.moves_at is not None
    late = found.moves_at - found.since - timedelta(days=2)  # counted from when it was written
    assert timedelta() <= late < timedelta(seconds=30)
    await mesh.approve_run(run_id, actor="ada", step=found.step)
    assert (await mesh.explain_run(run_id)).reason is Reason.COMPLETED


async def test_a_cancellation_says_by_whom(stage: Stage) -> None:
    mesh, run_id = await SCENES[Reason.CANCELLED](stage)
    found = await mesh.explain_run(run_id)
    assert (found.details["actor"], found.details["comment"]) == ({"name": "ada"}, "not needed")
    assert found.since == (await mesh.inspect_run(run_id)).ended_at
