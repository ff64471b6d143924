"""The tables say what DESIGN 3.3 says, which stands here word for word."""

from collections.abc import Mapping
from enum import StrEnum

import pytest

from squid_mesh.engine.states import (
    ENDED,
    RUN_MOVES,
    SETTLED,
    STEP_MOVES,
    AttemptStatus,
    Counts,
    RunStatus,
    StepStatus,
    run_status,
    sources,
)
from tests.conformance import conforms

RUNS = "pending running retrying paused failed completed cancelling cancelled"
STEPS = "waiting pending scheduled running paused completed failed cancelled"
ATTEMPTS = "running completed failed interrupted cancelled"

MOVES_OF_RUNS = (
    "pending→running,failed,cancelled · "
    "running→retrying,paused,completed,failed,cancelling,cancelled · "
    "retrying→running,paused,failed,cancelling,cancelled · "
    "paused→running,retrying,completed,failed,cancelled · "
    "cancelling→cancelled"
)
MOVES_OF_STEPS = (
    "waiting→pending,running,cancelled · "
    "pending→running,cancelled · "
    "scheduled→running,cancelled · "
    "running→completed,failed,scheduled,paused,pending,cancelled · "
    "paused→completed,failed,pending,cancelled"
)


def arrows(text: str) -> dict[str, set[str]]:
    """The moves written `a→b,c · b→c`."""
    written = (part.split("→") for part in text.split(" · "))
    return {state: set(targets.split(",")) for state, targets in written}


def reachable[State: StrEnum](
    moves: Mapping[State, frozenset[State]], *starts: State
) -> set[State]:
    found: set[State] = set()
    left = list(starts)
    while left:
        state = left.pop()
        left += set(moves[state]) - found
        found.add(state)
    return found


@conforms("S54", "S63")
def test_runs_steps_and_attempts_have_the_states_of_the_design_in_its_order() -> None:
    assert list(RunStatus) == RUNS.split()
    assert list(StepStatus) == [*STEPS.split(), "skipped"]
    assert list(AttemptStatus) == ATTEMPTS.split()


@conforms("S55")
@pytest.mark.parametrize(
    ("moves", "text"), [(RUN_MOVES, MOVES_OF_RUNS), (STEP_MOVES, MOVES_OF_STEPS)]
)
def test_the_moves_are_those_of_the_design_and_no_others(
    moves: Mapping[StrEnum, frozenset[StrEnum]], text: str
) -> None:
    assert {state: set(targets) for state, targets in moves.items() if targets} == arrows(text)


@conforms("S56")
@pytest.mark.parametrize(("moves", "states"), [(RUN_MOVES, RunStatus), (STEP_MOVES, StepStatus)])
def test_every_state_has_its_line_and_none_moves_to_itself(
    moves: Mapping[StrEnum, frozenset[StrEnum]], states: type[StrEnum]
) -> None:
    assert set(moves) == set(states)
    assert not [state for state, targets in moves.items() if state in targets]


def test_every_state_of_a_run_can_come_about_and_can_still_end() -> None:
    assert reachable(RUN_MOVES, RunStatus.PENDING) == set(RunStatus)
    assert [s for s in RunStatus if not reachable(RUN_MOVES, s) & ENDED] == []


@conforms("S55")
def test_a_run_leaves_no_state_that_it_has_ended_in_and_every_other() -> None:
    assert {"completed", "failed", "cancelled"} == ENDED
    assert {state for state, targets in RUN_MOVES.items() if not targets} == ENDED


def test_a_run_that_is_paused_has_settled_as_one_that_has_ended() -> None:
    assert {"completed", "failed", "cancelled", "paused"} == SETTLED


def test_a_stored_step_begins_waiting_or_pending_and_skipped_is_never_stored() -> None:
    found = reachable(STEP_MOVES, StepStatus.WAITING, StepStatus.PENDING)
    assert found == set(StepStatus) - {StepStatus.SKIPPED}


def test_a_step_leaves_no_state_that_it_has_ended_in_and_every_other() -> None:
    ended = {state for state, targets in STEP_MOVES.items() if not targets}
    assert ended == {"completed", "failed", "cancelled", "skipped"}


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (RunStatus.PENDING, set()),
        (RunStatus.RETRYING, {"running", "paused"}),
        (RunStatus.COMPLETED, {"running", "paused"}),
        (RunStatus.CANCELLED, {"pending", "running", "retrying", "paused", "cancelling"}),
    ],
)
def test_the_sources_of_a_state_are_the_states_with_a_move_to_it(
    target: RunStatus, expected: set[str]
) -> None:
    assert sources(RUN_MOVES, target) == expected


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (Counts(running=1), "running"),
        (Counts(queued=1), "running"),
        (Counts(retrying=1), "retrying"),
        (Counts(paused=1), "paused"),
        (Counts(), "running"),
        (Counts(running=1, retrying=1, paused=1), "running"),
        (Counts(queued=1, retrying=1, paused=1), "running"),
        (Counts(retrying=1, paused=1), "retrying"),
        (Counts(running=7), "running"),
        (Counts(queued=7), "running"),
        (Counts(retrying=7), "retrying"),
        (Counts(paused=7), "paused"),
    ],
)
def test_a_live_run_stands_where_the_first_of_its_steps_does(counts: Counts, expected: str) -> None:
    assert run_status(counts, begun=True, cancelling=False, outcome=None) == expected


EVERYWHERE = Counts(running=1, queued=1, retrying=1, paused=1)


@pytest.mark.parametrize("counts", [Counts(), Counts(queued=1), EVERYWHERE])
@pytest.mark.parametrize(
    ("begun", "cancelling", "outcome", "expected"),
    [
        (False, False, None, "pending"),
        (False, True, None, "cancelling"),
        (True, True, None, "cancelling"),
        (True, False, RunStatus.FAILED, "failed"),
        (True, True, RunStatus.COMPLETED, "completed"),
        (False, True, RunStatus.CANCELLED, "cancelled"),
    ],
)
def test_how_a_run_ended_goes_before_a_cancellation_and_that_before_its_steps(
    counts: Counts, *, begun: bool, cancelling: bool, outcome: RunStatus | None, expected: str
) -> None:
    assert run_status(counts, begun=begun, cancelling=cancelling, outcome=outcome) == expected
