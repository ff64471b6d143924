"""A transactional step's writes commit with its result and with what comes next, or not at all.

Real processes end hard before and after every exchange of such a step with the database: before
its write, after it, before the commit, after it. Whatever dies, the host's table has every effect
exactly once, and never without its result.
"""

from typing import Any

import pytest

from squid_mesh import Workflow
from squid_mesh.runtime import recovery
from tests.laws.journal import Journal
from tests.laws.test_law_04_boundaries import crash_everywhere
from tests.laws.transactional import EFFECTS, WORKFLOWS, effects, install, makers, torn
from tests.laws.worker import HEARTBEAT, LEASE, OVERDUE
from tests.laws.worlds import all_ended, unsound
from tests.meshes import eventually, on_host

_OF_A_STEP = 2 * len(["begin", "enter", "write", "name", "advance", "commit"])
AT_LEAST = {"PayTogether": 3 * _OF_A_STEP, "PayOtherwise": 2 * _OF_A_STEP - 4}


@pytest.mark.parametrize("workflow", WORKFLOWS)
async def test_an_effect_is_there_once_and_never_without_its_result(
    dsn: str,
    journal: Journal,
    workflow: type[Workflow[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recovery, "OVERDUE_SECONDS", OVERDUE)
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
            dsn, WORKFLOWS, resources=[journal, *extra], heartbeat=HEARTBEAT, lease=LEASE
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
