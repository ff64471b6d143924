"""A few seconds of `make chaos`, and its plan."""

from pathlib import Path

import pytest

from tests.chaos.plan import Kind, plan
from tests.chaos.stage import Play, perform

SEED = 6


def test_a_seed_is_a_plan() -> None:
    """The same blows, whatever the machine; and in two minutes there are enough of every kind."""
    whole = plan(SEED, 120, faults_a_second=2.2)
    assert whole == plan(SEED, 120, faults_a_second=2.2)
    assert whole != plan(SEED + 1, 120, faults_a_second=2.2)
    assert len(whole) >= 200
    assert {fault.kind for fault in whole} == set(Kind)


@pytest.mark.timeout(180)
async def test_nothing_is_lost_doubled_or_stuck(tmp_path: Path) -> None:
    report = await perform(Play(seed=SEED, seconds=8, workers=2, log=tmp_path / "log"))
    assert report.findings == []
    assert report.total > 0
    assert sum(report.faults.values()) >= 10
