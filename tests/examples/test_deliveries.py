import asyncio
from collections.abc import AsyncGenerator
from logging import LoggerAdapter, getLogger
from uuid import UUID

import pytest
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from examples.daily_digest.content import Digest, FailedDeliveries, record_failed_delivery
from squid_mesh import StepContext, StepFailure

DIGEST = Digest(content="**Harbour News** · 2026-01-05", embeds=())
FAILURE = StepFailure(
    type="StepError",
    message="Discord rejected the digest: 400 Invalid Form Body",
    code="discord_rejected",
    details={"status": 400},
    retryable=False,
    step="post_to_discord",
    attempt=1,
)


@pytest.fixture
async def deliveries(dsn: str) -> AsyncGenerator[FailedDeliveries]:
    async with AsyncConnectionPool[AsyncConnection](dsn, min_size=1, open=False) as pool:
        deliveries = FailedDeliveries(pool)
        await deliveries.install()
        yield deliveries


def context(key: str, attempt: int = 1) -> StepContext:
    return StepContext(
        run_id=UUID(int=1),
        workflow="PostDailyDigest",
        step="record_failed_delivery",
        attempt=attempt,
        trigger="by_hand",
        idempotency_key=key,
        window=None,
        logger=LoggerAdapter(getLogger(__name__)),
    )


async def test_a_failed_delivery_is_kept(deliveries: FailedDeliveries) -> None:
    row = await record_failed_delivery(deliveries, context("a"), DIGEST, FAILURE)

    kept = await deliveries.find(row)
    assert kept is not None
    assert (kept.content, kept.reason) == (DIGEST.content, FAILURE.message)
    assert kept.failure["details"] == {"status": 400}


async def test_a_redelivered_step_finds_its_row(deliveries: FailedDeliveries) -> None:
    first = await record_failed_delivery(deliveries, context("a"), DIGEST, FAILURE)
    again = await record_failed_delivery(deliveries, context("a", attempt=2), DIGEST, FAILURE)
    other = await record_failed_delivery(deliveries, context("b"), DIGEST, FAILURE)

    assert first == again != other


async def test_one_step_delivered_twice_at_once_writes_one_row(
    deliveries: FailedDeliveries,
) -> None:
    rows = await asyncio.gather(
        *(record_failed_delivery(deliveries, context("a"), DIGEST, FAILURE) for _ in range(8))
    )
    assert len(set(rows)) == 1


async def test_the_table_is_created_once(deliveries: FailedDeliveries) -> None:
    await deliveries.install()
    assert await deliveries.find(1) is None
