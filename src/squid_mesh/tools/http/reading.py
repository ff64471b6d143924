"""Reads a body as it comes, and never more of it than a limit, whatever it is packed in."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

import httpx

_GZIP = 16 + zlib.MAX_WBITS


class TooLarge(Exception):
    """A body is larger than may be read."""


class BadEncoding(Exception):
    """A body isn't packed as it says; the text says how."""


async def read(response: httpx.Response, limit: int) -> bytes:
    """The body, unpacked. Raises `TooLarge` before it holds more than `limit` bytes of it."""
    packing = response.headers.get("content-encoding", "identity").strip().lower()
    declared = response.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise TooLarge
    match packing:
        case "" | "identity":
            return await _plain(response.aiter_raw(), limit)
        case "gzip" | "x-gzip":
            return await _unpacked(response.aiter_raw(), limit)
        case _:
            raise BadEncoding(f"it is packed as {packing}, which nobody asked for")


async def _plain(parts: AsyncIterator[bytes], limit: int) -> bytes:
    body = bytearray()
    async for part in parts:
        if len(body) + len(part) > limit:
            raise TooLarge
        body += part
    return bytes(body)


async def _unpacked(parts: AsyncIterator[bytes], limit: int) -> bytes:
    """Gzip packs a gigabyte into one megabyte: no more is unpacked than there is room for."""
    body = bytearray()
    member = zlib.decompressobj(_GZIP)
    has_begun = False
    try:
        async for part in parts:
            rest = part
            while rest:
                if member.eof:  # another member follows the first
                    member = zlib.decompressobj(_GZIP)
                has_begun = True
                body += member.decompress(rest, limit + 1 - len(body))
                if len(body) > limit:
                    raise TooLarge
                rest = member.unused_data if member.eof else member.unconsumed_tail
    except zlib.error:
        raise BadEncoding("it isn't the gzip that it says it is") from None
    if has_begun and not member.eof:
        raise BadEncoding("its gzip ends in the middle")
    return bytes(body)
