"""The group committer on a real connection, with records of the tests' own."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection

from squid_mesh.store.committer import BUSY, Busy, Committer, Lost, Refused
from tests.clock import every
from tests.meshes import eventually

TABLE = "create table written (value integer primary key check (value >= 0), text text)"
WRITE = """
insert into written (value, text)
select * from unnest(%s::integer[], %s::text[]) on conflict do nothing
"""


@dataclass(frozen=True)
class Record:
    value: int
    text: str = ""
    target: object = None


@dataclass
class Table:
    """Writes groups of records; holds a flush, or finds a record held, when a test says so."""

    dsn: str
    groups: list[list[int]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    held: set[int] = field(default_factory=set)
    pids: list[int] = field(default_factory=list)
    after: str | None = None

    def __post_init__(self) -> None:
        self.gate.set()

    async def connect(self) -> AsyncConnection[Any]:
        connection = await AsyncConnection.connect(self.dsn, autocommit=True)
        self.pids.append(connection.info.backend_pid)
        return connection

    async def write(
        self, connection: AsyncConnection[Any], records: Sequence[Record]
    ) -> list[str | Busy]:
        self.groups.append([record.value for record in records])
        self.begun.set()
        await self.gate.wait()
        free = [record for record in records if record.value not in self.held]
        await connection.execute(WRITE, [[r.value for r in free], [r.text for r in free]])
        if self.after:
            statement, self.after = self.after, None
            await connection.execute(statement.encode())
        return [BUSY if r.value in self.held else f"wrote {r.value}" for r in records]

    async def confirm(self, _: AsyncConnection[Any], record: Record, outcome: str) -> str:
        assert outcome == f"wrote {record.value}"
        return f"{outcome}, confirmed"

    async def values(self) -> list[int]:
        rows = await every(self.dsn, "select value from written order by value")
        return [value for (value,) in rows]


@pytest.fixture
async def table(dsn: str) -> Table:
    await every(dsn, TABLE)
    return Table(dsn)


@asynccontextmanager
async def running(table: Table, **options: Any) -> AsyncGenerator[Committer[Record, str]]:
    committer: Committer[Record, str] = Committer(
        table.connect,
        table.write,
        target=lambda record: record.target or record.value,
        confirm=table.confirm,
        **options,
    )
    await committer.start()
    try:
        yield committer
    finally:
        await committer.stop()


@pytest.fixture
async def committer(table: Table) -> AsyncGenerator[Committer[Record, str]]:
    async with running(table) as committer:
        yield committer


async def held_flush(table: Table, committer: Committer[Record, str]) -> asyncio.Task[str]:
    """Have a flush of one record under way, and hold it."""
    table.gate.clear()
    first = asyncio.create_task(committer.submit(Record(0)))
    await table.begun.wait()
    return first


def submit(committer: Committer[Record, str], *records: Record) -> list[asyncio.Task[str]]:
    """Submit records, in order; each is in the queue when this returns."""
    loop = asyncio.get_running_loop()
    return [
        asyncio.Task(committer.submit(record), loop=loop, eager_start=True) for record in records
    ]


async def test_a_lone_record_waits_for_nobody(
    table: Table, committer: Committer[Record, str]
) -> None:
    assert await committer.submit(Record(7)) == "wrote 7"
    assert await table.values() == [7]
    assert table.groups == [[7]]


async def test_what_comes_during_a_flush_shares_the_next(
    table: Table, committer: Committer[Record, str]
) -> None:
    first = await held_flush(table, committer)
    rest = submit(committer, *map(Record, range(1, 10)))
    table.gate.set()

    assert await first == "wrote 0"
    assert await asyncio.gather(*rest) == [f"wrote {n}" for n in range(1, 10)]
    assert table.groups == [[0], list(range(1, 10))]
    assert (committer.flushes, committer.records) == (2, 10)


async def test_a_flush_has_a_largest_size(table: Table) -> None:
    async with running(table, size=4) as committer:
        first = await held_flush(table, committer)
        rest = submit(committer, *map(Record, range(1, 10)))
        table.gate.set()
        await asyncio.gather(first, *rest)
    assert table.groups == [[0], [1, 2, 3, 4], [5, 6, 7, 8], [9]]


async def test_a_flush_has_one_record_for_a_target(
    table: Table, committer: Committer[Record, str]
) -> None:
    first = await held_flush(table, committer)
    records = [Record(1, target="a"), Record(2, target="a"), Record(3), Record(4, target="a")]
    rest = submit(committer, *records)
    table.gate.set()
    await asyncio.gather(first, *rest)
    assert table.groups == [[0], [1, 3], [2], [4]]


@pytest.mark.parametrize(
    "bad", [Record(-1), Record(2**40), Record(5, text="a\0b")], ids=["check", "range", "nul"]
)
async def test_a_bad_record_stands_alone(
    table: Table, committer: Committer[Record, str], bad: Record
) -> None:
    first = await held_flush(table, committer)
    good = [Record(n) for n in range(10, 20)]
    rest = submit(committer, *good[:3], bad, *good[3:])
    table.gate.set()

    results = await asyncio.gather(first, *rest, return_exceptions=True)
    refused = [result for result in results if isinstance(result, BaseException)]
    assert [type(error) for error in refused] == [Refused]
    assert str(refused[0])
    assert await table.values() == [0, *range(10, 20)]
    assert await committer.submit(Record(99)) == "wrote 99"


async def test_several_bad_records_are_all_found(
    table: Table, committer: Committer[Record, str]
) -> None:
    first = await held_flush(table, committer)
    rest = submit(committer, *(Record(n if n % 3 else -n) for n in range(1, 17)))
    table.gate.set()
    results = await asyncio.gather(first, *rest, return_exceptions=True)
    assert sum(isinstance(result, Refused) for result in results) == 5
    assert await table.values() == [0, *(n for n in range(1, 17) if n % 3)]


async def test_a_held_record_goes_round_and_delays_only_itself(
    table: Table, committer: Committer[Record, str]
) -> None:
    table.held = {1}
    (held,) = submit(committer, Record(1))
    assert await committer.submit(Record(2)) == "wrote 2"

    async def went_round() -> bool:
        return sum(1 in group for group in table.groups) >= 4

    await eventually(went_round)
    assert not held.done()
    table.held = set()
    assert await held == "wrote 1"
    assert await table.values() == [1, 2]


async def test_a_record_that_would_wait_for_a_lock_comes_again_quietly(
    table: Table, committer: Committer[Record, str], caplog: pytest.LogCaptureFixture
) -> None:
    async with await AsyncConnection.connect(table.dsn) as other:
        await other.execute("lock table written")
        await every(table.dsn, f"alter database {other.info.dbname} set lock_timeout = '20ms'")
        async with running(table) as patient:
            with caplog.at_level(logging.WARNING, "squid_mesh"):
                (task,) = submit(patient, Record(1))

                async def tried_again() -> bool:
                    return len(table.groups) >= 3

                await eventually(tried_again)
                assert not task.done()
                await other.rollback()
                assert await task == "wrote 1"
    assert caplog.records == []


async def test_a_lost_connection_is_made_again_and_the_record_confirmed(
    table: Table, committer: Committer[Record, str]
) -> None:
    """Before the flush: the record can't have been written, and is."""
    await committer.submit(Record(1))
    await every(table.dsn, "select pg_terminate_backend(%s)", table.pids[-1])

    assert await committer.submit(Record(2)) == "wrote 2, confirmed"
    assert await committer.submit(Record(3)) == "wrote 3"
    assert await table.values() == [1, 2, 3]
    assert len(table.pids) == 2


async def test_an_answer_that_was_lost_is_asked_for_again(
    table: Table, committer: Committer[Record, str]
) -> None:
    """After the commit: the record was written, and nobody was told."""
    table.after = "select pg_terminate_backend(pg_backend_pid())"
    assert await committer.submit(Record(1)) == "wrote 1, confirmed"
    assert await table.values() == [1]
    assert table.groups == [[1], [1]]


async def test_a_group_whose_connection_breaks_is_written_once(
    table: Table, committer: Committer[Record, str]
) -> None:
    first = await held_flush(table, committer)
    rest = submit(committer, *map(Record, range(1, 6)))
    table.after = "select pg_terminate_backend(pg_backend_pid())"
    table.gate.set()
    results = await asyncio.gather(first, *rest)
    assert sorted(r.removesuffix(", confirmed") for r in results) == [
        f"wrote {n}" for n in range(6)
    ]
    assert await table.values() == list(range(6))


async def test_an_error_of_the_code_is_told_to_the_group_and_the_next_goes_on(
    table: Table, committer: Committer[Record, str]
) -> None:
    class Unprepared:
        value = 1
        text = object()
        target = None

    with pytest.raises(psycopg.ProgrammingError):
        await committer.submit(Unprepared())  # type: ignore[arg-type]  # what the test is about
    assert await committer.submit(Record(2)) == "wrote 2"


async def test_stopping_tells_whoever_waits(table: Table) -> None:
    async with running(table) as committer:
        flushed = await held_flush(table, committer)
        (queued,) = submit(committer, Record(1))
        await committer.stop()
        for task in (flushed, queued):
            with pytest.raises(Lost):
                await asyncio.wait_for(task, 5)


async def test_stopping_tells_also_whoever_goes_round(table: Table) -> None:
    async with running(table) as committer:
        table.held = {1}
        (held,) = submit(committer, Record(1))
        await table.begun.wait()
        await committer.stop()
        with pytest.raises(Lost):
            await asyncio.wait_for(held, 5)


async def test_nothing_is_taken_after_stopping(table: Table) -> None:
    async with running(table) as committer:
        await committer.stop()
        with pytest.raises(Lost):
            await asyncio.wait_for(committer.submit(Record(1)), 5)


async def test_whoever_gives_up_waiting_does_not_disturb_the_others(
    table: Table, committer: Committer[Record, str]
) -> None:
    first = await held_flush(table, committer)
    one, two = submit(committer, Record(1), Record(2))
    one.cancel()
    table.gate.set()
    assert (await first, await two) == ("wrote 0", "wrote 2")
    assert await committer.submit(Record(3)) == "wrote 3"


@pytest.mark.parametrize("drops", [False, True])
async def test_what_nobody_waits_for_any_more_may_be_dropped(
    table: Table,
    drops: bool,  # noqa: FBT001 (parametrized)
) -> None:
    """A claim isn't made for a driver that is gone; progress is written, whoever waits."""
    async with running(table, drops=drops) as committer:
        first = await held_flush(table, committer)
        (one,) = submit(committer, Record(1))
        one.cancel()
        table.gate.set()
        await first
        await committer.submit(Record(2))
    assert await table.values() == ([0, 2] if drops else [0, 1, 2])


async def test_a_record_that_is_the_trouble_ends_up_alone(table: Table) -> None:
    """One that is too much for the server, not for what it holds: the others get past it."""
    async with running(table) as committer:
        await every(table.dsn, HEAVY)
        first = await held_flush(table, committer)
        heavy, *rest = submit(committer, *map(Record, [HEAVIEST, *range(1, 20)]))
        table.gate.set()
        async with asyncio.timeout(20):
            await asyncio.gather(first, *rest)
        assert not heavy.done()
        await every(table.dsn, "drop trigger heavy on written")
        assert await heavy == f"wrote {HEAVIEST}"
    assert await table.values() == [*range(20), HEAVIEST]


HEAVIEST = 1000
HEAVY = """
create function heavy() returns trigger language plpgsql as $$
  begin
    raise 'it takes more memory than there is' using errcode = 'out_of_memory';
  end $$;
create trigger heavy before insert on written for each row when (new.value = 1000)
  execute function heavy()
"""


async def test_a_server_in_trouble_is_left_in_peace(table: Table) -> None:
    """However many records wait, it is tried again less and less often, and then at once."""
    async with running(table) as committer:
        await every(table.dsn, HEAVY.replace("new.value = 1000", "true"))
        tasks = submit(committer, *map(Record, range(200)))
        await asyncio.sleep(0.7)
        assert len(table.groups) <= 9, "5, 10, 20 … ms apart"
        assert not any(task.done() for task in tasks)
        await every(table.dsn, "drop trigger heavy on written")
        async with asyncio.timeout(10):
            await asyncio.gather(*tasks)
    assert await table.values() == list(range(200))
