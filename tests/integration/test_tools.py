"""What a tool says of its failure holds for the step that called it."""

from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest

from squid_mesh import (
    Constant,
    Payload,
    Retry,
    RunStatus,
    StepContext,
    Workflow,
    context,
    resource,
    step,
)
from squid_mesh.tools.http import Http, Request
from tests.meshes import on_host, play, step_of
from tests.tools.server import Server, serving


class UrlPayload(Payload):
    url: str


async def fetch(at: StepContext, http: Http, url: str) -> str:
    headers = {"Idempotency-Key": at.idempotency_key}
    return (await http.invoke(Request("POST", url, headers=headers))).payload.text


class Fetch(Workflow[UrlPayload]):
    fetch = step(fetch, retry=Retry(3, backoff=Constant(timedelta(days=1)))).takes(
        context, resource(Http), url=UrlPayload.url
    )


@pytest.fixture
async def server() -> AsyncGenerator[Server]:
    async with serving() as server:
        yield server


@pytest.fixture
async def http() -> AsyncGenerator[Http]:
    async with Http(internal=["127.0.0.1"]) as http:
        yield http


async def test_a_tools_retry_after_is_instead_of_the_steps_backoff(
    dsn: str, server: Server, http: Http
) -> None:
    server.answers("/", 503, b"", Retry_After="0")
    busy = server.routes["/"]
    server.answers("/", 200, b"hello")
    free = server.routes["/"]
    server.routes["/"] = lambda: busy() if len(server.received) == 1 else free()
    async with on_host(dsn, [Fetch], resources=[http]) as mesh:
        run = await play(mesh, Fetch, {"url": server.url + "/"})
    assert run.output(Fetch.fetch) == "hello"
    first, second = step_of(run, "fetch").attempts
    assert first.error is not None
    assert first.error.code == "retry_later"
    assert second.error is None
    keys = {one.headers["idempotency-key"] for one in server.received}
    assert keys == {f"{run.id}:fetch"}, "what is tried again says that it is the same"


async def test_a_tools_error_that_is_not_retryable_goes_past_the_retry_policy(
    dsn: str, server: Server, http: Http
) -> None:
    server.answers("/", 404, b"no such thing")
    async with on_host(dsn, [Fetch], resources=[http]) as mesh:
        run = await play(mesh, Fetch, {"url": server.url + "/"})
    assert (run.status, len(server.received)) == (RunStatus.FAILED, 1)
    assert run.error is not None
    assert (run.error.type, run.error.code, run.error.retryable) == ("StatusError", "http", False)
    assert run.error.details is not None
    assert (run.error.details["status"], run.error.details["body"]) == (404, "no such thing")
