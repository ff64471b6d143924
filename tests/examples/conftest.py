"""The outside world of the examples: servers on loopback, and a client that loses patience soon."""

from collections.abc import AsyncGenerator, Generator

import httpx
import pytest

from examples.daily_digest.servers import Webhook, serve_feeds


@pytest.fixture(scope="session")
def feeds() -> Generator[str]:
    with serve_feeds() as url:
        yield url


@pytest.fixture
def webhook() -> Webhook:
    return Webhook()


@pytest.fixture
def discord(webhook: Webhook) -> Generator[str]:
    with webhook.serving() as url:
        yield url


@pytest.fixture
async def http() -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=httpx.Timeout(5, read=0.5)) as client:
        yield client
