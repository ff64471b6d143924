"""The outside world of the examples: servers on loopback, and clients of theirs."""

from collections.abc import AsyncGenerator, Generator
from datetime import timedelta

import httpx
import pytest

from examples.daily_digest.application import LOOPBACK
from examples.daily_digest.servers import Webhook, serve_feeds
from squid_mesh.tools.http import Http


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
async def tool() -> AsyncGenerator[Http]:
    async with Http(max_bytes=5 * 2**20, redirects=5, internal=LOOPBACK) as http:
        yield http


@pytest.fixture
async def impatient() -> AsyncGenerator[Http]:
    async with Http(timeout=timedelta(seconds=0.3), internal=LOOPBACK) as http:
        yield http


@pytest.fixture
async def http() -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=httpx.Timeout(5, read=0.5)) as client:
        yield client
