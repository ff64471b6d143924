"""A step's body starts only under a claim that is already durable; one claim, one body."""

from squid_mesh.engine.states import StepStatus
from squid_mesh.store.records import Advanced, Claim, Claimed, Nothing, Progress, Stale
from tests.clock import every
from tests.conformance import conforms
from tests.laws.journal import Journal
from tests.laws.processes import workers
from tests.laws.workflows import BODIES, SHORT_SHAPES
from tests.laws.worlds import LONE, all_ended, hands, started, unsound
from tests.meshes import eventually, on_host

_AGAIN = """
insert into oban_jobs (queue, worker, args, max_attempts)
select queue, worker, args, max_attempts from oban_jobs where state <> 'scheduled'
"""


@conforms("S64", "S66")
async def test_in_two_processes_with_every_job_delivered_thrice(dsn: str, journal: Journal) -> None:
    """Each body looks for its own claim, on a connection that is neither's."""
    async with on_host(dsn, SHORT_SHAPES, queues={}) as mesh:
        for workflow in SHORT_SHAPES:
            await mesh.start_runs(workflow, [{}] * 8)
    async with workers(dsn, 2) as both:
        for _ in range(3):
            await every(dsn, _AGAIN)

        async def is_over() -> bool:
            return await all_ended(dsn)

        await eventually(is_over)
        assert await journal.processes() == {process.pid for process in both}
    assert await journal.unclaimed() == []
    bodies = await journal.bodies()
    assert set(bodies.values()) == {1}
    assert 8 * (sum(map(_total, BODIES.values())) - 1) <= len(bodies)  # Doomed may stop one
    assert await unsound(dsn) == []


def _total(steps: dict[str, int]) -> int:
    return sum(steps.values())


async def test_a_step_that_was_handed_over_isn_t_taken_along_when_the_answer_was_lost(
    dsn: str,
) -> None:
    """Its job may have come to this very process by the time that the record is confirmed."""
    async with hands(dsn, 1) as (hand,):
        (run,) = await started(dsn, hand, LONE, 1)
        (claimed,) = await hand.claimed(Claim(run, "only"))
        handing_over = Progress(
            run_id=run,
            step="only",
            attempt=claimed.attempt,
            status=StepStatus.COMPLETED,
            next="there",
            queue="other",
        )
        await hand.advance(handing_over)  # nobody hears the answer
        (taken,) = await hand.claim(Claim(run, "there"))  # the job, in this process
        assert isinstance(taken, Claimed)

        (again,) = await hand.advance(handing_over)
        assert again == Stale()
        confirmed = await hand.writer.confirm_progress(hand.connection, handing_over, again)
    assert confirmed == Advanced(None)


@conforms("S64")
async def test_a_claim_is_made_once_whatever_the_group(dsn: str) -> None:
    """A step that is asked for while it runs, has completed or isn't there gives nothing."""
    async with hands(dsn, 2) as (hand, other):
        run, gone = await started(dsn, hand, LONE, 2)
        await every(dsn, "delete from squid_mesh.runs where id = %s", gone)
        asked = [Claim(run, "only"), Claim(gone, "only"), Claim(run, "nosuch")]
        made, of_no_run, of_no_step = await hand.claim(*asked)
        assert isinstance(made, Claimed)
        assert (of_no_run, of_no_step) == (Nothing(), Nothing())
        assert await other.claim(*asked) == [Nothing()] * 3
        await hand.advance(LONE.completed(made))
        assert await other.claim(*asked) == [Nothing()] * 3
        assert await hand.claim(*asked) == [Nothing()] * 3
    assert await unsound(dsn) == []
