"""Steps side by side: what one does to the others, and what it doesn't."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from uuid import UUID

import pytest

from squid_mesh import (
    Constant,
    Mesh,
    NoPayload,
    Retry,
    RunDetails,
    StepContext,
    StepError,
    Workflow,
    context,
    resource,
    step,
)
from tests.clock import advance, every
from tests.conformance import conforms
from tests.meshes import (
    Probe,
    Workflows,
    ended,
    eventually,
    history,
    on_host,
    statuses,
    step_of,
)

HOUR = timedelta(hours=1)


async def say(text: str) -> str:
    return text


async def hold(probe: Probe) -> str:
    await probe.hold("held")
    return "held"


async def fail_first(at: StepContext, probe: Probe) -> str:
    probe.note(f"{at.step} {at.attempt}")
    if at.attempt == 1:
        raise StepError("not yet")
    return at.step


async def fail_then_hold(at: StepContext, probe: Probe) -> None:
    if at.attempt == 1:
        raise StepError("not yet")
    await probe.hold("second")


async def hold_then_fail(at: StepContext, probe: Probe) -> None:
    if at.attempt > 1:
        raise StepError("no")
    await probe.hold("first")


async def gather(parts: list[str]) -> str:
    return " ".join(parts)


PATIENT = Retry(2, Constant(HOUR), jitter=False)


class NoBarrier(Workflow[NoPayload]):
    quick = step(say).takes("quick")
    slow = step(hold).takes(resource(Probe))
    following = step(say).takes(quick.output)
    last = step(say).takes(following.output)
    both = step(gather).takes([last.output, slow.output])


class TwoRetries(Workflow[NoPayload]):
    one = step(fail_first, retry=PATIENT).takes(context, resource(Probe))
    two = step(fail_first, retry=PATIENT).takes(context, resource(Probe))
    both = step(gather).takes([one.output, two.output])


class RetryBesideSuccess(Workflow[NoPayload]):
    again = step(fail_first, retry=PATIENT).takes(context, resource(Probe))
    slow = step(hold).takes(resource(Probe))
    both = step(gather).takes([again.output, slow.output])


class RetryThatHolds(Workflow[NoPayload]):
    work = step(fail_then_hold, retry=PATIENT).takes(context, resource(Probe))


class TwoTries(Workflow[NoPayload]):
    work = step(hold_then_fail, retry=Retry(2)).takes(context, resource(Probe))


WORKFLOWS: Workflows = [NoBarrier, TwoRetries, RetryBesideSuccess, RetryThatHolds, TwoTries]


@pytest.fixture
async def mesh(dsn: str, probe: Probe) -> AsyncGenerator[Mesh]:
    async with on_host(dsn, WORKFLOWS, resources=[probe]) as mesh:
        yield mesh


async def comes_to(mesh: Mesh, run_id: UUID, **expected: str) -> RunDetails:
    """Wait until these steps stand there."""

    async def there() -> bool:
        return statuses(await history(mesh, run_id)).items() >= expected.items()

    await eventually(there)
    return await history(mesh, run_id)


@conforms("S107", "S108", "S109", "S112")
async def test_a_step_waits_for_its_own_dependencies_only(mesh: Mesh, probe: Probe) -> None:
    run = await mesh.start_run(NoBarrier)
    await probe.begun.wait()
    between = await comes_to(mesh, run.id, last="completed")
    assert statuses(between) == {
        "quick": "completed",
        "slow": "running",
        "following": "completed",
        "last": "completed",
        "both": "waiting",
    }
    probe.gate.set()
    assert (await ended(mesh, run.id)).output(NoBarrier.both) == "quick held"


@conforms("S114", "S117")
async def test_two_may_wait_for_a_retry(mesh: Mesh, dsn: str, probe: Probe) -> None:
    run = await mesh.start_run(TwoRetries)
    between = await comes_to(mesh, run.id, one="scheduled", two="scheduled")
    assert between.status == "retrying"
    assert sorted(between.current_steps) == ["one", "two"]
    jobs = "select args->>'step' from oban_jobs where state = 'scheduled' order by 1"
    assert await every(dsn, jobs) == [("one",), ("two",)]
    await advance(dsn, HOUR)
    assert (await ended(mesh, run.id)).output(TwoRetries.both) == "one two"
    assert sorted(probe.calls) == ["one 1", "one 2", "two 1", "two 2"]


@conforms("S114", "S118")
async def test_one_may_complete_while_another_waits_for_its_retry(
    mesh: Mesh, dsn: str, probe: Probe
) -> None:
    run = await mesh.start_run(RetryBesideSuccess)
    before = await comes_to(mesh, run.id, again="scheduled", slow="running")
    assert before.status == "running"
    probe.gate.set()
    between = await comes_to(mesh, run.id, slow="completed")
    assert between.status == "retrying"
    assert between.current_steps == ("again",)
    assert between.context == {"slow": "held"}
    assert statuses(between)["both"] == "waiting"
    await advance(dsn, HOUR)
    assert (await ended(mesh, run.id)).output(RetryBesideSuccess.both) == "again held"


@conforms("S80", "S81")
async def test_a_run_is_running_again_with_its_next_attempt(
    mesh: Mesh, dsn: str, probe: Probe
) -> None:
    run = await mesh.start_run(RetryThatHolds)
    assert (await comes_to(mesh, run.id, work="scheduled")).status == "retrying"
    await advance(dsn, HOUR)
    await probe.begun.wait()
    between = await history(mesh, run.id)
    assert between.status == "running"
    assert between.current_steps == ("work",)
    probe.gate.set()
    assert (await ended(mesh, run.id)).status == "completed"


@conforms("S106")
async def test_an_interrupted_attempt_uses_up_one_of_the_policy_s(dsn: str, probe: Probe) -> None:
    async with on_host(dsn, WORKFLOWS, resources=[probe]) as leaving:
        run = await leaving.start_run(TwoTries)
        await probe.begun.wait()
    async with on_host(dsn, WORKFLOWS, resources=[probe]) as heir:
        details = await ended(heir, run.id)
    attempts = [str(attempt.status) for attempt in step_of(details, "work").attempts]
    assert attempts == ["interrupted", "failed"]
    assert details.status == "failed"
