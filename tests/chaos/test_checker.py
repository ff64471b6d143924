"""The checker finds what is wrong: every kind of it, put into tables that were right."""

from tests.chaos.checker import check
from tests.chaos.ledger import TABLES, Ledger
from tests.chaos.shapes import Careful, Gate, Join, Minutely, Paying, Task
from tests.chaos.worker import Pace
from tests.clock import every, wake_jobs
from tests.meshes import QUEUE, ended, eventually

_RUN = "(select id from squid_mesh.runs where workflow = '{}' limit 1)"

SPOILED = {
    "a run was started, and isn't there": """
        insert into chaos.promises (kind, run) values ('started', gen_random_uuid())""",
    "a host's row and its run aren't together": "insert into chaos.orders values ('order')",
    "somebody heard of another end": f"""
        insert into chaos.promises values ('ended', {_RUN.format("Join")}, 'failed')""",
    "a cancelled run isn't, or the audit doesn't say so": f"""
        insert into chaos.promises values ('cancelled', {_RUN.format("Join")}, '', '-infinity')""",
    "a step began after its run was cancelled": "select",  # the last one did that too
    "a decision isn't in the audit": f"""
        insert into chaos.promises values ('resumed', {_RUN.format("Gate")}, 'gate 2')""",
    "a claim had two bodies": """
        insert into chaos.bodies select gen_random_uuid(), key, run, step, attempt, pid, at
        from chaos.bodies where step = 'root'""",
    "a body was repeated without need": "select",
    "a body began that the history doesn't know": """
        update chaos.bodies set attempt = 7 where step = 'x1'""",
    "an attempt came to an end without a body": "select",
    "a key was of two steps": "update chaos.bodies set key = 'the same' where step in ('x0', 'x3')",
    "a transactional step hasn't one effect": """
        insert into chaos.effects select * from chaos.effects where step = 'pay_in_thread'""",
    "an effect is of no completed step": "update chaos.effects set attempt = 3 where step = 'pay'",
    "an attempt failed as nobody meant it to": """
        update squid_mesh.attempts set error = '{"message": "no"}' where step = 'pay'""",
    "a body was interrupted by nobody": f"""
        insert into squid_mesh.attempts values ({_RUN.format("Careful")}, 'once', 2, 'interrupted',
          null, 1, now(), now())""",
    "an interruption isn't in the audit, or is twice": "select",
    "the tables contradict themselves": f"""
        insert into squid_mesh.attempts values ({_RUN.format("Careful")}, 'once', 9, 'failed',
          '{{"message": "as planned"}}', 1, now(), now())""",
    "a gate was passed, and the audit doesn't say how": """
        delete from squid_mesh.audit_events where type = 'resumed'""",
    "a replay isn't in the audit": "delete from squid_mesh.audit_events where type = 'replayed'",
    "a window was left out": """
        update squid_mesh.runs set window_at = window_at - interval '2 minutes'
        where window_at = (select min(window_at) from squid_mesh.runs)""",
    "a window that is due wasn't fired": """
        update squid_mesh.clock set shift = shift + interval '2 days'""",
    "a join has lost what its steps said": """
        update squid_mesh.steps set output = '"x0"' where step = 'end'""",
    "Join ended otherwise": "delete from squid_mesh.steps where step = 'x2'",
    "a lease outlives its worker": """
        insert into squid_mesh.workers (mesh, node, pid) values ('m', 'n', 1)""",
    "a run hasn't ended": f"""
        insert into squid_mesh.runs (id, workflow, definition, trigger, payload, open_ends, running)
        select gen_random_uuid(), workflow, definition, trigger, payload, 1, 1
        from squid_mesh.runs where id = {_RUN.format("Join")}""",
    "somebody holds a step": """
        insert into squid_mesh.steps (run_id, step, status, attempt, claim, started_at)
        select id, 'root', 'running', 1, 1, now() from squid_mesh.runs where outcome is null""",
}
"""By what is found, what is done to the tables, one after the other."""


async def play(dsn: str) -> None:
    """Some runs of each sort, to their end: as in `make chaos`, but for the villain."""
    async with Ledger(dsn) as ledger, Pace().mesh(dsn, ledger, {QUEUE: 20}) as mesh:
        runs = [
            await mesh.start_run(workflow, Task(number=1, breaks=1))
            for workflow in (Join, Paying, Careful, Gate)
        ]
        runs.append(await mesh.replay_run(runs[0].id))

        async def is_paused() -> bool:
            return (await mesh.inspect_run(runs[3].id)).status == "paused"

        await eventually(is_paused)
        await mesh.unblock_run(runs[3].id, key="gate 1")
        for run in runs:
            await ended(mesh, run.id)
        await every(dsn, "update squid_mesh.clock set shift = shift + interval '2 minutes'")
        await wake_jobs(dsn)

        async def has_fired() -> bool:
            fired = "select count(*) >= 2 and bool_and(outcome is not null) from squid_mesh.runs"
            return bool((await every(dsn, f"{fired} where window_at is not null"))[0][0])

        await eventually(has_fired)
        await mesh.pause_schedule(Minutely, "each")
        later = "next_window = next_window + interval '1 day'"  # whatever the time is here
        await every(dsn, f"update squid_mesh.schedules set paused = false, {later}")


async def test_it_finds_nothing_where_nothing_is_wrong_and_everything_else(dsn: str) -> None:
    await every(dsn, TABLES)
    await play(dsn)
    assert await check(dsn) == []
    found: set[str] = set()
    for what, spoil in SPOILED.items():
        assert (what in found) == (spoil == "select")
        await every(dsn, spoil)
        found = {finding.what for finding in await check(dsn)}
        assert what in found
