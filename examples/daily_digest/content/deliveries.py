"""The digests that Discord wouldn't take, kept in a table of the host's own."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row, scalar_row
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from squid_mesh import StepContext, StepFailure

from .digest import Digest

_CREATE = """
create table if not exists failed_deliveries (
    id bigint generated always as identity primary key,
    idempotency_key text not null unique,
    content text not null,
    reason text not null,
    failure jsonb not null,
    failed_at timestamptz not null default now()
)
"""

# A redelivered step finds its row and touches it, so that `returning` answers in both cases.
_RECORD = """
insert into failed_deliveries (idempotency_key, content, reason, failure)
values (%(key)s, %(content)s, %(reason)s, %(failure)s)
on conflict (idempotency_key) do update set idempotency_key = excluded.idempotency_key
returning id
"""

_FIND = """
select id, content, reason, failure, failed_at from failed_deliveries where id = %(id)s
"""


@dataclass(frozen=True, slots=True)
class FailedDelivery:
    """One digest that wasn't delivered, and why."""

    id: int
    content: str
    reason: str
    failure: dict[str, Any]
    failed_at: datetime


@dataclass(frozen=True, slots=True)
class FailedDeliveries:
    """The table `failed_deliveries`, through the host's pool."""

    pool: AsyncConnectionPool

    async def install(self) -> None:
        """Create the table where it is missing."""
        async with self.pool.connection() as conn:
            await conn.execute(_CREATE)

    async def record(self, key: str, digest: Digest, failure: StepFailure) -> int:
        """Keep `digest`; the id of its row, the same for the same `key`."""
        values = {
            "key": key,
            "content": digest.content,
            "reason": failure.message,
            "failure": Jsonb(asdict(failure)),
        }
        async with self.pool.connection() as conn, conn.cursor(row_factory=scalar_row) as cursor:
            await cursor.execute(_RECORD, values)
            row: int | None = await cursor.fetchone()
        assert row is not None, "an upsert that returns always returns"
        return row

    async def find(self, delivery_id: int) -> FailedDelivery | None:
        """The row with this id, if there is one."""
        async with (
            self.pool.connection() as conn,
            conn.cursor(row_factory=class_row(FailedDelivery)) as cursor,
        ):
            await cursor.execute(_FIND, {"id": delivery_id})
            return await cursor.fetchone()


async def record_failed_delivery(
    deliveries: FailedDeliveries, context: StepContext, digest: Digest, failure: StepFailure
) -> int:
    """Keep an undelivered digest for a person to look at; the id of its row."""
    return await deliveries.record(context.idempotency_key, digest, failure)
