"""A transactional step's writes commit with its result and with what comes next, or not at all.

Real processes end hard before and after every exchange of such a step with the database: before
its write, after it, before the commit, after it. Whatever dies, the host's table has every effect
exactly once, and never without its result.
"""

from typing import Any

import pytest

from squid_mesh import Workflow
from tests.laws.journal import Journal
from tests.laws.processes import worker
from tests.laws.test_law_04_boundaries import crash_everywhere
from tests.laws.transactional import (
    CRASHING,
    EFFECTS,
    WORKFLOWS,
    PayAtLeisure,
    effects,
    install,
    makers,
    torn,
)
from tests.laws.worker import HEARTBEAT, LEASE, OVERDUE
from tests.laws.worlds import all_ended, tables, unsound
from tests.meshes import eventually, on_host

_OF_A_STEP = 2 * len(["begin", "enter", "write", "name", "advance", "commit"])
AT_LEAST = {"PayTogether": 3 * _OF_A_STEP, "PayOtherwise": 2 * _OF_A_STEP - 4}


@pytest.mark.timeout(600)  # some forty processes, one after the other
@pytest.mark.parametrize("workflow", CRASHING)
async def test_an_effect_is_there_once_and_never_without_its_result(
    dsn: str,
    journal: Journal,
    workflow: type[Workflow[Any]],
) -> None:
    await install(dsn)
    boundaries = await crash_everywhere(dsn, workflow)
    assert boundaries >= AT_LEAST.get(workflow.__name__, _OF_A_STEP)
    assert await torn(dsn) == []
    assert await unsound(dsn) == []
    seen = await effects(dsn)
    assert seen, "some died after their commit"

    async with (
        makers(dsn) as extra,
        on_host(
            dsn,
            WORKFLOWS,
            resources=[journal, *extra],
            heartbeat=HEARTBEAT,
            lease=LEASE,
            overdue=OVERDUE,
        ) as heir,
    ):

        async def is_over() -> bool:
            return await all_ended(dsn)

        await eventually(is_over)
        runs = (await heir.list_runs(limit=1000)).runs
        assert {str(run.status) for run in runs} == {"completed"}
    assert len(seen) < len(runs) * len(EFFECTS[workflow.__name__]), "some died before it"
    assert await torn(dsn) == []
    assert await unsound(dsn) == []
    once_each = [(workflow.__name__, step) for step in EFFECTS[workflow.__name__] for _ in runs]
    assert await effects(dsn) == sorted(once_each)


async def test_a_process_that_stood_still_in_its_body_commits_nothing_late(
    dsn: str, journal: Journal
) -> None:
    """Others have taken over by then: its writes are rolled back with its refused result."""
    await install(dsn)
    options = {"module": "tests.laws.transactional"}
    async with worker(dsn, **options) as zombie:
        run = await zombie.starts(PayAtLeisure)
        await journal.has(1, "pay")
        zombie.stops()
        async with worker(dsn, **options) as heir:
            await journal.has(2, "pay")
            await journal.let_go(run)
            await eventually(lambda: all_ended(dsn))
            assert await effects(dsn) == [("PayAtLeisure", "pay")]
            before = await tables(dsn)
            zombie.goes_on()
            await journal.has_passed(zombie.pid)
            await zombie.leaves()
            await heir.leaves()
    assert await tables(dsn) == before
    assert await effects(dsn) == [("PayAtLeisure", "pay")]
    assert await torn(dsn) == []
    assert await unsound(dsn) == []
