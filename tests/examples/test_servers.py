import asyncio
import threading

import httpx
import pytest

from examples.daily_digest.servers import Answer, Webhook, serving


async def test_a_stopped_server_leaves_nobody_waiting_and_nothing_behind(
    http: httpx.AsyncClient, webhook: Webhook
) -> None:
    before = threading.active_count()
    with webhook.serving() as discord:
        with pytest.raises(httpx.ReadTimeout):
            await http.post(f"{discord}/webhooks/hanging", json={"content": "hello"})
        assert threading.active_count() == before + 2

    assert threading.active_count() == before
    with pytest.raises(httpx.ConnectError):
        await http.post(discord)


async def test_a_post_is_known_before_its_answer(
    http: httpx.AsyncClient, webhook: Webhook, discord: str
) -> None:
    posting = asyncio.create_task(http.post(f"{discord}/webhooks/slow", json={"content": "hello"}))
    async with asyncio.timeout(5):
        post = await asyncio.wrap_future(webhook.first_post_to("/webhooks/slow"))
    assert (post.message, post.status) == ({"content": "hello"}, None)
    assert not posting.done()

    again = await http.post(f"{discord}/webhooks/slow", json={"content": "hello"})
    assert again.status_code == 204
    with pytest.raises(httpx.ReadTimeout):
        await posting


async def test_each_server_has_a_port_of_its_own(http: httpx.AsyncClient) -> None:
    with (
        serving(lambda _: Answer(body=b"one")) as one,
        serving(lambda _: Answer(body=b"two")) as two,
    ):
        assert [(await http.get(url)).text for url in (one, two)] == ["one", "two"]


async def test_without_wait_the_webhook_answers_with_nothing(
    http: httpx.AsyncClient, discord: str
) -> None:
    response = await http.post(f"{discord}/webhooks/ok", json={"content": "hello"})
    assert (response.status_code, response.content) == (204, b"")


async def test_a_rate_limit_looks_as_discords_does(http: httpx.AsyncClient, discord: str) -> None:
    _, response = [
        await http.post(f"{discord}/webhooks/flaky", json={"content": "hello"}) for _ in range(2)
    ]
    assert (response.status_code, response.headers["retry-after"]) == (429, "1")
    assert response.json() == {
        "message": "You are being rate limited.",
        "retry_after": 0.6,
        "global": False,
    }
