"""A transport of httpx that connects to checked addresses only, and to the very ones it checked.

The check is where connections are made, so it holds for every hop and every name, and no name can
lead elsewhere between the check and the connection.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Generator, Iterable
from contextlib import contextmanager
from typing import Any, override

import httpcore
import httpx

from squid_mesh.tools.http.addresses import Reach


class _Network(httpcore.AsyncNetworkBackend):
    """Connects to what may be reached."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        backend: Any = httpcore.AnyIOBackend  # which httpcore declares twice
        self._network: httpcore.AsyncNetworkBackend = backend()

    @override
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first of a host's addresses that answers."""
        try:
            addresses = await self._reach.resolve(host, port)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        for address in addresses[:-1]:
            try:
                return await self._connect(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._connect(addresses[-1], port, timeout, local_address, socket_options)

    async def _connect(self, address: str, *how: Any) -> httpcore.AsyncNetworkStream:
        return await self._network.connect_tcp(address, *how)

    @override
    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._network.sleep(seconds)


class _Stream(httpx.AsyncByteStream):
    def __init__(self, response: httpcore.Response, request: httpx.Request) -> None:
        self._response = response
        self._request = request

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _httpx_errors(self._request):
            async for part in self._response.aiter_stream():
                yield part

    @override
    async def aclose(self) -> None:
        await self._response.aclose()


class GuardedTransport(httpx.AsyncBaseTransport):
    """Keeps connections; `reach` says to where. For an `httpx.AsyncClient` of a host's own, too."""

    def __init__(
        self,
        reach: Reach | None = None,
        *,
        ssl_context: ssl.SSLContext | None = None,
        max_connections: int = 100,
    ) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl_context or httpx.create_ssl_context(),
            max_connections=max_connections,
            keepalive_expiry=5.0,
            network_backend=_Network(reach or Reach()),
        )

    @override
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the answer's body is still to be read. Raises httpx's errors."""
        url = request.url
        target = httpcore.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
        )
        sent = httpcore.Request(
            method=request.method,
            url=target,
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _httpx_errors(request):
            response = await self._pool.handle_async_request(sent)
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Stream(response, request),
        )

    @override
    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()


@contextmanager
def _httpx_errors(request: httpx.Request) -> Generator[None]:
    """Errors of httpcore as those of httpx, which have the same names."""
    try:
        yield
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError,
            httpcore.UnsupportedProtocol, httpcore.ConnectionNotAvailable) as error:  # fmt: skip
        kind = getattr(httpx, type(error).__name__, httpx.TransportError)
        raise kind(str(error), request=request) from None
