"""Pauses and approvals: they wait in the database alone, and go on as somebody decides."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg import AsyncConnection

from squid_mesh import (
    SETTLED,
    AmbiguousStep,
    InvalidResume,
    InvalidReview,
    InvalidRunId,
    InvalidStep,
    InvalidTransition,
    KeyConflict,
    Mesh,
    NoPayload,
    Payload,
    Run,
    RunDetails,
    RunNotFound,
    Workflow,
    approval,
    complete,
    optional,
    pause,
    step,
)
from tests.clock import advance, every, one, wake_jobs
from tests.conformance import conforms
from tests.meshes import BOUND, Workflows, ended, eventually, history, on_host, statuses, step_of

DAY = timedelta(days=1)


class Limit(Payload):
    limit: timedelta = DAY


async def say(text: str) -> str:
    return text


async def pay(by: str | dict[str, Any] | None) -> str:
    return f"paid, by {by}"


async def tell(verdict: str, comment: str | None) -> str:
    return f"{verdict}: {comment}"


class Halt(Workflow[NoPayload]):
    hold = pause()
    after = step(say).takes("after")
    flow = hold >> after >> complete


class LastHalt(Workflow[NoPayload]):
    before = step(say).takes("before")
    hold = pause()
    flow = before >> hold >> complete


class Refund(Workflow[Limit]):
    review = approval(deadline=Limit.limit)
    pay = step(pay).takes(by=optional(review.output.actor))
    reject = step(tell).takes(review.output.decision, comment=review.output.comment)
    flow = (
        review.on_approved >> pay >> complete,
        review.on_rejected >> reject >> complete,
        review.on_timeout >> complete,
    )


class Endless(Workflow[NoPayload]):
    review = approval()
    flow = (review.on_approved >> complete, review.on_rejected >> complete)


class Late(Workflow[NoPayload]):
    review = approval(deadline=DAY)
    escalate = step(say).takes("nobody decided")
    flow = (
        review.on_approved >> complete,
        review.on_rejected >> complete,
        review.on_timeout >> escalate >> complete,
    )


class Before(Workflow[NoPayload], name="Deployed"):
    review = approval(output="verdict")
    paid = step(say).takes("paid")
    told = step(say).takes("told")
    flow = (review.on_approved >> paid >> complete, review.on_rejected >> told >> complete)


class After(Workflow[NoPayload], name="Deployed"):
    """The same, as it is deployed next: its gate has other ways out, and another name."""

    review = approval(output="decision")
    again = step(say).takes("again")
    flow = (review.on_approved >> complete, review.on_rejected >> again >> complete)


class FourEyes(Workflow[NoPayload]):
    """Two gates and a pause at once, and what waits for all of them."""

    first = approval()
    second = approval()
    hold = pause()
    last = step(tell, after=[hold]).takes(first.output.decision, comment=second.output.decision)


WORKFLOWS: Workflows = [Halt, LastHalt, Refund, Endless, Late, FourEyes]


@pytest.fixture
async def mesh(dsn: str) -> AsyncGenerator[Mesh]:
    async with on_host(dsn, WORKFLOWS) as mesh:
        yield mesh


async def paused(
    mesh: Mesh, workflow: type[Workflow[Any]], payload: Any = None, count: int = 1
) -> Run:
    """A run whose gates wait."""
    run = await mesh.start_run(workflow, payload)
    await gates_wait(mesh, run.id, count)
    return await mesh.inspect_run(run.id)


async def gates_wait(mesh: Mesh, run_id: UUID, count: int = 1) -> None:
    async def wait() -> bool:
        return list(statuses(await history(mesh, run_id)).values()).count("paused") == count

    await eventually(wait)


def audit(run: RunDetails) -> list[tuple[str, str | None]]:
    return [(event.type, event.step) for event in run.audit_events]


async def snapshot(dsn: str) -> list[Any]:
    """All that a decision could write."""
    tables = ("squid_mesh.runs", "squid_mesh.steps", "squid_mesh.audit_events", "oban_jobs")
    return [await every(dsn, f"select t::text from {table} t order by 1") for table in tables]  # noqa: S608


# going on


@conforms("S127", "S131", "S132", "S135", "S155")
async def test_a_pause_goes_on_when_somebody_lets_it(mesh: Mesh) -> None:
    run = await paused(mesh, Halt)
    assert (run.status, run.current_steps) == ("paused", ("hold",))
    moved = await mesh.unblock_run(run.id)
    assert moved.status == "running"

    details = await ended(mesh, run.id)
    assert details.status == "completed"
    assert statuses(details) == {"hold": "completed", "after": "completed"}
    assert audit(details) == [("paused", "hold"), ("resumed", "hold")]
    hold = step_of(details, "hold")
    assert [(a.number, a.status) for a in hold.attempts] == [(1, "completed")]
    assert hold.output is None


@conforms("S135")
async def test_a_pause_at_the_end_completes_its_run_at_once(mesh: Mesh) -> None:
    run = await paused(mesh, LastHalt)
    moved = await mesh.unblock_run(run.id, actor="ops", comment="go on", metadata={"ticket": 7})
    assert moved.status == "completed"
    assert moved.ended_at is not None
    details = await history(mesh, run.id)
    assert audit(details) == [("paused", "hold"), ("resumed", "hold")]
    resumed = details.audit_events[-1]
    assert (resumed.actor, resumed.comment, resumed.metadata) == ("ops", "go on", {"ticket": 7})


@conforms("S128", "S136")
async def test_an_approval_goes_on_with_what_was_decided(mesh: Mesh) -> None:
    run = await paused(mesh, Refund, Limit())
    await mesh.approve_run(run.id, actor="ada", comment="fine", metadata={"limit": 100})
    details = await ended(mesh, run.id)
    assert statuses(details) == {"review": "completed", "pay": "completed", "reject": "skipped"}
    decision = details.output(Refund.review)
    assert (decision.decision, decision.actor, decision.comment, decision.metadata) == (
        "approved",
        "ada",
        "fine",
        {"limit": 100},
    )
    assert decision.decided_at.utcoffset() == timedelta()
    assert details.audit_events[-1].at == decision.decided_at
    assert details.output(Refund.pay) == "paid, by ada"
    assert audit(details) == [("paused", "review"), ("approved", "review")]


@conforms("S136")
async def test_a_rejection_completes_its_gate_and_takes_its_own_way(mesh: Mesh) -> None:
    run = await paused(mesh, Refund, Limit())
    await mesh.reject_run(run.id, actor={"id": 7, "name": "Ada"}, comment="too much")
    details = await ended(mesh, run.id)
    assert details.status == "completed"
    assert statuses(details) == {"review": "completed", "pay": "skipped", "reject": "completed"}
    assert details.output(Refund.reject) == "rejected: too much"
    assert details.output(Refund.review).actor == {"id": 7, "name": "Ada"}
    assert audit(details) == [("paused", "review"), ("rejected", "review")]


@conforms("S140")
async def test_a_paused_run_holds_nothing_but_its_rows(dsn: str) -> None:
    """No job, no claim that anybody has to answer for: whoever comes lets it go on."""
    async with on_host(dsn, WORKFLOWS) as mesh:
        run = await paused(mesh, Endless)
        process = mesh._process
        assert process.driver.driving.steps == []

        async def is_acknowledged() -> bool:
            left = "select 1 from oban_jobs where state <> 'completed'"
            return await every(dsn, left) == []

        await eventually(is_acknowledged)
        boot = process.ledger.boot
    async with on_host(dsn, WORKFLOWS) as other:
        await other._process._recovery._tick()
        assert other._process.ledger.boot != boot
        assert (await other.inspect_run(run.id)).status == "paused"
        assert (await other.approve_run(run.id, actor="ada")).status == "completed"


async def test_who_waits_elsewhere_is_told(dsn: str) -> None:
    async with on_host(dsn, WORKFLOWS) as mesh, on_host(dsn, WORKFLOWS, name="other") as other:
        run = await paused(mesh, Endless)
        waiting = asyncio.create_task(other.wait_for_run(run.id, timeout=BOUND))

        async def is_watched() -> bool:
            return await one(dsn, "select watched from squid_mesh.runs") == (True,)

        await eventually(is_watched)
        await mesh.approve_run(run.id, actor="ada")
        assert (await waiting).status == "completed"


async def test_a_run_can_be_waited_for_until_it_pauses(mesh: Mesh) -> None:
    run = await mesh.start_run(Endless)
    assert (await mesh.wait_for_run(run.id, until=SETTLED, timeout=BOUND)).status == "paused"


@conforms("S137")
async def test_a_deploy_in_between_changes_nothing(dsn: str) -> None:
    """The gate leads where it led when the run began, whoever decides and whatever is deployed."""
    async with on_host(dsn, [Before]) as mesh:
        run = await paused(mesh, Before)
    async with on_host(dsn, [After]) as mesh:
        await mesh.reject_run(run.id, actor="ada")
        details = await ended(mesh, run.id)
        assert statuses(details) == {"review": "completed", "paid": "skipped", "told": "completed"}
        assert list(details.context) == ["verdict", "told"]


# deadlines


async def test_a_deadline_takes_its_own_way_out(mesh: Mesh, dsn: str) -> None:
    run = await paused(mesh, Late)
    due = step_of(await history(mesh, run.id), "review").due_at
    assert due is not None
    assert abs(due - run.inserted_at - DAY) < timedelta(seconds=10)
    await advance(dsn, DAY)
    details = await ended(mesh, run.id)
    assert statuses(details) == {"review": "completed", "escalate": "completed"}
    assert audit(details) == [("paused", "review"), ("timed_out", "review")]
    review = step_of(details, "review")
    assert [(a.number, a.status) for a in review.attempts] == [(1, "completed")]
    assert review.output is None
    with pytest.raises(InvalidTransition):
        await mesh.approve_run(run.id, actor="ada")


async def test_a_deadline_may_come_from_the_payload_and_end_the_run(mesh: Mesh, dsn: str) -> None:
    run = await paused(mesh, Refund, Limit(limit=2 * DAY))
    await advance(dsn, DAY)
    await wake_jobs(dsn)
    assert (await mesh.inspect_run(run.id)).status == "paused"
    await advance(dsn, DAY)
    details = await ended(mesh, run.id)
    assert details.status == "completed"
    assert statuses(details) == {"review": "completed", "pay": "skipped", "reject": "skipped"}


async def test_a_deadline_of_no_time_passes_at_once(mesh: Mesh) -> None:
    run = await mesh.start_run(Refund, Limit(limit=timedelta()))
    assert audit(await ended(mesh, run.id)) == [("paused", "review"), ("timed_out", "review")]


async def test_a_decision_in_time_takes_the_deadline_away(mesh: Mesh, dsn: str) -> None:
    run = await paused(mesh, Late)
    scheduled = "select 1 from oban_jobs where state = 'scheduled'"
    assert len(await every(dsn, scheduled)) == 1
    await mesh.approve_run(run.id, actor="ada")
    assert await every(dsn, scheduled) == []
    assert await one(dsn, "select due_at from squid_mesh.steps where step = 'review'") == (None,)


async def test_a_deadline_whose_job_is_lost_passes_all_the_same(mesh: Mesh, dsn: str) -> None:
    run = await paused(mesh, Late)
    await every(dsn, "delete from oban_jobs")
    await advance(dsn, DAY + timedelta(minutes=1))
    await mesh._process._recovery._tick()
    assert audit(await ended(mesh, run.id))[-1] == ("timed_out", "review")


@conforms("S143", "S156")
async def test_a_cancelled_run_has_no_deadline(mesh: Mesh, dsn: str) -> None:
    run = await paused(mesh, Late)
    assert (await mesh.cancel_run(run.id)).status == "cancelled"
    assert await every(dsn, "select 1 from oban_jobs where state = 'scheduled'") == []
    await advance(dsn, DAY)
    details = await history(mesh, run.id)
    assert statuses(details) == {"review": "cancelled", "escalate": "skipped"}
    assert [(a.number, a.status) for a in step_of(details, "review").attempts] == [(1, "cancelled")]
    assert audit(details) == [("paused", "review"), ("cancelled", None)]


# several at once


@conforms("S17")
async def test_gates_of_a_graph_wait_side_by_side(mesh: Mesh) -> None:
    run = await paused(mesh, FourEyes, count=3)
    with pytest.raises(AmbiguousStep) as ambiguous:
        await mesh.approve_run(run.id, actor="ada")
    assert ambiguous.value.steps == ("first", "second")
    await mesh.approve_run(run.id, actor="ada", step="first")
    await mesh.reject_run(run.id, actor="bob")
    moved = await mesh.unblock_run(run.id)
    assert moved.status == "running"
    details = await ended(mesh, run.id)
    assert details.output(FourEyes.last) == "approved: rejected"
    assert len(step_of(details, "last").attempts) == 1


# what can't be decided


REVIEWS = ("approve_run", "reject_run")
WRONG: dict[str, tuple[dict[str, Any], set[str]]] = {
    "no actor": ({"actor": None}, {"actor"}),
    "an empty name": ({"actor": "  "}, {"actor"}),
    "an empty mapping": ({"actor": {}}, {"actor"}),
    "a number": ({"actor": 7}, {"actor"}),
    "a name that can't be stored": ({"actor": "a\0da"}, {"actor"}),
    "a mapping that can't be stored": ({"actor": {"id": object()}}, {"actor"}),
    "an empty comment": ({"actor": "ada", "comment": ""}, {"comment"}),
    "a comment that isn't text": ({"actor": "ada", "comment": 7}, {"comment"}),
    "metadata that isn't a mapping": ({"actor": "ada", "metadata": ["x"]}, {"metadata"}),
    "metadata that can't be stored": (
        {"actor": "ada", "metadata": {"x": float("nan")}},
        {"metadata"},
    ),
    "too much metadata": ({"actor": "ada", "metadata": {"x": "y" * 2_000_000}}, {"metadata"}),
    "a key that is too long": ({"actor": "ada", "key": "k" * 256}, {"key"}),
    "a key that isn't text": ({"actor": "ada", "key": 7}, {"key"}),
    "everything": (
        {"actor": "", "comment": "", "metadata": 7, "key": ""},
        {"actor", "comment", "metadata", "key"},
    ),
}


@conforms("S134")
@pytest.mark.parametrize("call", REVIEWS)
@pytest.mark.parametrize(("facts", "names"), WRONG.values(), ids=WRONG)
async def test_a_review_says_all_that_is_wrong_before_it_looks(
    mesh: Mesh, dsn: str, call: str, facts: dict[str, Any], names: set[str]
) -> None:
    before = await snapshot(dsn)
    with pytest.raises(InvalidReview) as refused:
        await getattr(mesh, call)(uuid4(), **facts)
    assert refused.value.problems.keys() == names
    assert await snapshot(dsn) == before


@conforms("S133")
@pytest.mark.parametrize(
    ("facts", "names"),
    [case for name, case in WRONG.items() if name != "no actor"],
    ids=[name for name in WRONG if name != "no actor"],
)
async def test_so_does_an_unblocking(mesh: Mesh, facts: dict[str, Any], names: set[str]) -> None:
    with pytest.raises(InvalidResume) as refused:
        await mesh.unblock_run(uuid4(), **facts)
    assert refused.value.problems.keys() == names


CALLS: dict[str, Callable[[Mesh, Any], Any]] = {
    "unblock_run": lambda mesh, run: mesh.unblock_run(run),
    "approve_run": lambda mesh, run: mesh.approve_run(run, actor="ada"),
    "reject_run": lambda mesh, run: mesh.reject_run(run, actor="ada"),
    "resolve_step": lambda mesh, run: mesh.resolve_step(run, "retry", actor="ada"),
}
FITS: dict[str, set[type[Workflow[Any]]]] = {
    "unblock_run": {Halt},
    "approve_run": {Endless},
    "reject_run": {Endless},
    "resolve_step": set(),
}


@conforms("S131", "S132", "S139")
@pytest.mark.parametrize("workflow", [Halt, Endless])
@pytest.mark.parametrize("call", CALLS)
async def test_each_call_is_for_its_own_kind_of_gate(
    mesh: Mesh, dsn: str, call: str, workflow: type[Workflow[Any]]
) -> None:
    run = await paused(mesh, workflow)
    if workflow in FITS[call]:
        await CALLS[call](mesh, run.id)
        with pytest.raises(InvalidTransition):
            await CALLS[call](mesh, run.id)
        return
    before = await snapshot(dsn)
    with pytest.raises(InvalidStep) as refused:
        await CALLS[call](mesh, run.id)
    assert refused.value.step == ("hold" if workflow is Halt else "review")
    assert "use " in refused.value.reason
    assert await snapshot(dsn) == before


@conforms("S131", "S139")
@pytest.mark.parametrize("call", CALLS)
async def test_what_is_no_run_or_waits_for_nobody(mesh: Mesh, call: str) -> None:
    with pytest.raises(InvalidRunId):
        await CALLS[call](mesh, "no run")
    with pytest.raises(RunNotFound):
        await CALLS[call](mesh, uuid4())
    run = await paused(mesh, Halt)
    await mesh.cancel_run(run.id)
    with pytest.raises(InvalidTransition) as refused:
        await CALLS[call](mesh, run.id)
    assert (refused.value.status, refused.value.wanted) == ("cancelled", "running")


@conforms("S131")
async def test_a_step_that_is_named_is_one_that_waits(mesh: Mesh) -> None:
    run = await paused(mesh, FourEyes, count=3)
    for name, reason in {
        "nobody": "its run's definition has no such step: it declares first, second, hold, last",
        "last": "it doesn't wait for a decision now",
        "hold": "it waits at a pause: use unblock_run",
    }.items():
        with pytest.raises(InvalidStep) as refused:
            await mesh.approve_run(run.id, actor="ada", step=name)
        assert (refused.value.step, refused.value.reason) == (name, reason)


# keys


@conforms("S139", "S140")
async def test_the_same_key_decides_once(mesh: Mesh, dsn: str) -> None:
    run = await paused(mesh, Endless)
    first = await mesh.approve_run(run.id, actor="ada", key="a key")
    before = await snapshot(dsn)
    again = await mesh.approve_run(run.id, actor="ada", key="a key", step="review")
    assert again == first
    others: list[Callable[[], Awaitable[Run]]] = [
        lambda: mesh.reject_run(run.id, actor="ada", key="a key"),
        lambda: mesh.unblock_run(run.id, key="a key"),
        lambda: mesh.approve_run(run.id, actor="ada", key="a key", step="other"),
    ]
    for other in others:
        with pytest.raises(KeyConflict) as conflict:
            await other()
        assert (conflict.value.run_id, conflict.value.key) == (run.id, "a key")
    assert await snapshot(dsn) == before


async def test_a_key_is_its_run_s_own(mesh: Mesh) -> None:
    runs = [await paused(mesh, Endless) for _ in range(2)]
    for run in runs:
        assert (await mesh.reject_run(run.id, actor="ada", key="k")).status == "completed"


# with the host's data


@conforms("S138")
@pytest.mark.parametrize("commits", [True, False])
@pytest.mark.parametrize("workflow", [Halt, Endless])
async def test_a_decision_commits_with_the_host_s_own_writes(
    mesh: Mesh, dsn: str, workflow: type[Workflow[Any]], *, commits: bool
) -> None:
    run = await paused(mesh, workflow)
    before = await snapshot(dsn)
    await every(dsn, "create table orders (id int)")
    async with (
        await AsyncConnection.connect(dsn) as host,
        host.transaction(force_rollback=not commits),
    ):
        await host.execute("insert into orders values (1)")
        if workflow is Halt:
            moved = await mesh.unblock_run(run.id, conn=host)
            assert moved.status == "running"
        else:
            moved = await mesh.approve_run(run.id, actor="ada", conn=host)
            assert moved.status == "completed"
        assert await snapshot(dsn) == before
    assert len(await every(dsn, "select 1 from orders")) == commits
    if commits:
        assert (await ended(mesh, run.id)).status == "completed"
    else:
        assert await snapshot(dsn) == before


async def test_a_refused_decision_leaves_the_host_s_transaction_alone(mesh: Mesh, dsn: str) -> None:
    run = await paused(mesh, Halt)
    await every(dsn, "create table orders (id int)")
    async with await AsyncConnection.connect(dsn) as host, host.transaction():
        await host.execute("insert into orders values (1)")
        with pytest.raises(InvalidStep):
            await mesh.approve_run(run.id, actor="ada", conn=host)
        with pytest.raises(RunNotFound):
            await mesh.unblock_run(uuid4(), conn=host)
    assert await every(dsn, "select id from orders") == [(1,)]


# races


@conforms("S58", "S139")
async def test_of_many_decisions_at_once_one_is_made(mesh: Mesh) -> None:
    for _ in range(20):
        run = await paused(mesh, Refund, Limit())
        outcomes = await asyncio.gather(
            *(mesh.approve_run(run.id, actor=f"a{n}") for n in range(3)),
            *(mesh.reject_run(run.id, actor=f"r{n}") for n in range(3)),
            return_exceptions=True,
        )
        assert [type(o) for o in outcomes].count(Run) == 1
        assert all(isinstance(o, Run | InvalidTransition) for o in outcomes)
        details = await ended(mesh, run.id)
        assert len(details.audit_events) == 2
        taken = statuses(details)
        assert {taken["pay"], taken["reject"]} == {"completed", "skipped"}


@conforms("S145")
async def test_a_decision_and_a_cancellation_at_once(mesh: Mesh) -> None:
    for _ in range(20):
        run = await paused(mesh, Halt)
        decided, cancelled = await asyncio.gather(
            mesh.unblock_run(run.id), mesh.cancel_run(run.id), return_exceptions=True
        )
        assert isinstance(cancelled, Run | InvalidTransition)
        details = await ended(mesh, run.id)
        if details.status == "cancelled":
            assert audit(details)[-1] == ("cancelled", None)
        else:
            assert isinstance(decided, Run)


async def test_a_decision_and_its_deadline_at_once(mesh: Mesh, dsn: str) -> None:
    for _ in range(10):
        run = await paused(mesh, Late)
        decided, _ = await asyncio.gather(
            mesh.approve_run(run.id, actor="ada"), advance(dsn, DAY), return_exceptions=True
        )
        details = await ended(mesh, run.id)
        assert len(audit(details)) == 2
        in_time = audit(details)[-1] == ("approved", "review")
        assert isinstance(decided, Run) is in_time
        assert step_of(details, "escalate").status == ("skipped" if in_time else "completed")
