"""A run costs so many statements and commits, and no more: counted, for one that is alone.

Ours are exact: whoever adds one, or saves one, says so here. Of Oban's, and of commits, there may
be fewer, as it does together what comes together.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from datetime import timedelta
from itertools import pairwise
from types import new_class
from typing import Any

import pytest
from psycopg import AsyncConnection

from squid_mesh import (
    Constant,
    Mesh,
    NoPayload,
    Retry,
    StepContext,
    StepError,
    Workflow,
    complete,
    connection,
    context,
    pause,
    step,
    wait,
)
from tests.clock import every
from tests.database import Databases
from tests.database import databases as databases_on
from tests.integration.counting import BEGIN, COMMIT, PLACES, SETTINGS, Cost, Counted, counted
from tests.meshes import Workflows
from tests.trouble.server import Server, harmed

SOON = timedelta(seconds=0.05)
EFFECT = "insert into effects values (1)"


async def say(length: int) -> str:
    return "x" * length


async def break_first(at: StepContext) -> str:
    if at.attempt == 1:
        raise StepError("the first time always breaks")
    return "done"


async def write(conn: AsyncConnection[Any]) -> str:
    await conn.execute(EFFECT)
    return "written"


def chain(length: int) -> type[Workflow[NoPayload]]:
    """So many steps, one after the other, with outputs of a kilobyte."""

    def body(names: dict[str, Any]) -> None:
        steps = [step(say).takes(1000) for _ in range(length)]
        names |= {f"s{number}": one for number, one in enumerate(steps)}
        names["flow"] = *(one >> other for one, other in pairwise(steps)), steps[-1] >> complete

    return new_class(f"Chain{length}", (Workflow[NoPayload],), exec_body=body)


Chain, Longer, Longest = chain(5), chain(10), chain(100)


class Retried(Workflow[NoPayload]):
    work = step(break_first, retry=Retry(2, Constant(SOON), jitter=False)).takes(context)


class Waiting(Workflow[NoPayload]):
    nap = wait(SOON)
    after = step(say).takes(1)
    flow = nap >> after >> complete


class Held(Workflow[NoPayload]):
    gate = pause()
    after = step(say).takes(1)
    flow = gate >> after >> complete


class Fan(Workflow[NoPayload]):
    root = step(say).takes(1)
    x0 = step(say, after=[root]).takes(1)
    x1 = step(say, after=[root]).takes(1)
    x2 = step(say, after=[root]).takes(1)
    end = step(say, after=[x0, x1, x2]).takes(1)


class Writing(Workflow[NoPayload]):
    work = step(write).takes(connection())


WORKFLOWS: Workflows = [Chain, Longer, Longest, Retried, Waiting, Held, Fan, Writing]

PAUSED = "select id from squid_mesh.runs where status = 'paused'"

type Act = Callable[[Mesh], Awaitable[object]]


def start(workflow: type[Workflow[NoPayload]]) -> Act:
    return lambda mesh: mesh.start_run(workflow)


async def start_twenty(mesh: Mesh) -> None:
    await mesh.start_runs(Chain, [NoPayload()] * 20)


def cost(ours: dict[str, int], *, obans: tuple[int, int, int], commits: int) -> Cost:
    """What is expected: statements of ours, and how many transactions have written something.

    Of Oban: how often it looks for jobs, how many it acknowledges, and how many transactions of
    several statements there are with that, the host's and ours included.
    """
    fetches, acknowledged, blocks = obans
    rest = {"oban fetch_jobs": fetches, "oban ack_job": acknowledged, BEGIN: blocks, COMMIT: blocks}
    return Cost(Counter(ours | rest), commits)


COSTS: dict[str, tuple[Act, Cost]] = {
    "a chain of five steps": (
        start(Chain),
        cost({"start_runs": 1, "claim_steps": 1, "advance_chain": 5}, obans=(2, 1, 3), commits=8),
    ),
    # Statements and commits of one: 0.08 commits a step.
    "twenty such chains together": (
        start_twenty,
        cost({"start_runs": 1, "claim_steps": 1, "advance_chain": 5}, obans=(3, 20, 6), commits=8),
    ),
    "a retry": (
        start(Retried),
        cost(
            {
                "start_runs": 1,
                "claim_steps": 2,
                "advance_steps": 1,
                "stage_jobs": 1,
                "advance_chain": 1,
            },
            obans=(4, 2, 6),
            commits=9,
        ),
    ),
    "a wait, and a step": (
        start(Waiting),
        cost(
            {
                "start_runs": 1,
                "claim_steps": 2,
                "advance_steps": 1,
                "stage_jobs": 1,
                "advance_chain": 2,
            },
            obans=(4, 2, 6),
            commits=10,
        ),
    ),
    "a pause": (
        start(Held),
        cost({"start_runs": 1, "claim_steps": 1, "advance_steps": 1}, obans=(2, 1, 3), commits=5),
    ),
    "one, three beside each other, and their join": (
        start(Fan),
        cost(
            {
                "start_runs": 1,
                "claim_steps": 2,
                "advance_steps": 2,
                "load_outputs": 1,
                "advance_chain": 1,
            },
            obans=(6, 4, 10),
            commits=11,
        ),
    ),
    "a transactional step": (
        start(Writing),
        cost(
            {
                "start_runs": 1,
                "claim_steps": 1,
                "enter_transaction": 1,
                EFFECT: 1,
                "name_transaction": 1,
                "advance_chain": 1,
            },
            obans=(2, 1, 4),
            commits=4,
        ),
    ),
}

DECISION = cost(
    {
        "get_run": 2,
        "lock_run": 1,
        "read_paused": 1,
        "decide_step": 1,
        "note_event": 1,
        "claim_steps": 1,
        "advance_chain": 1,
    },
    obans=(2, 1, 4),
    commits=4,
)
"""To decide about a pause, and the step after it."""


@pytest.fixture(scope="module")
def server() -> Generator[Server]:
    with harmed(**SETTINGS) as server:
        yield server


@pytest.fixture(scope="module")
def on_it(server: Server) -> Generator[Databases]:
    with databases_on(server.dsn) as made:
        yield made


@pytest.fixture
async def quiet(server: Server, on_it: Databases) -> AsyncGenerator[Counted]:
    with on_it.fresh() as dsn:
        await every(dsn, "create table effects (number int)")
        async with counted(dsn, server.folder / "log", WORKFLOWS) as quiet:
            yield quiet


def compare(found: Cost, expected: Cost) -> None:
    assert found.ours == expected.ours
    assert found.statements <= expected.statements
    assert found.commits <= expected.commits


@pytest.mark.parametrize("what", COSTS)
async def test_it_costs_as_much_as_it_must(quiet: Counted, what: str) -> None:
    act, expected = COSTS[what]
    await quiet.cost_of(act)  # what is done once by a process
    compare(await quiet.cost_of(act), expected)


async def test_runs_that_wait_for_a_place_cost_no_fetch_and_no_acknowledgement(
    quiet: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oban fetches as many as there are places; five times as many are taken by their drivers.

    Six commits for all that go together, and two of Oban's: 38 for 720 steps.
    """
    monkeypatch.setattr("squid_mesh.runtime.jobs.WAITED_SECONDS", -1.0)
    runs, waves = 6 * PLACES, 6

    async def start_many(mesh: Mesh) -> None:
        await mesh.start_runs(Chain, [NoPayload()] * runs)

    found = await quiet.cost_of(start_many, taken=runs - PLACES)
    ours = {"start_runs": 1, "claim_steps": 1, "take_steps": waves, "advance_chain": 5 * waves}
    compare(found, cost(ours, obans=(3, PLACES, 6), commits=2 + 6 * waves))


async def unblock(quiet: Counted) -> Cost:
    """Have a run held, and see what it costs that it goes on."""
    await quiet.cost_of(start(Held))
    ((run_id,),) = await every(quiet.dsn, PAUSED)
    return await quiet.cost_of(lambda mesh: mesh.unblock_run(run_id))


async def test_a_decision_costs_as_much_as_it_must(quiet: Counted) -> None:
    await unblock(quiet)
    compare(await unblock(quiet), DECISION)


async def test_a_step_costs_the_same_however_many_are_behind_it(quiet: Counted) -> None:
    """As many statements, and no more bytes of WAL: its inputs are not written again."""
    await quiet.cost_of(start(Longer))
    ten, hundred = [await quiet.cost_of(start(workflow)) for workflow in (Longer, Longest)]
    assert Counter(hundred.ours) - Counter(ten.ours) == {"advance_chain": 90}
    assert hundred.commits - ten.commits == 90
    assert (hundred.wal - ten.wal) / 90 <= ten.wal / 10
