"""Which addresses a request may reach: those of the internet, and what a host has named.

A URL often comes from a payload, so from somebody outside, and a server that fetches whatever it is
told is a way into its own network (server-side request forgery). So private addresses are refused
unless the host names them; a step that is meant to reach a service inside has a host that knows it.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from squid_mesh.errors import InvalidConfig

type Address = IPv4Address | IPv6Address
type Network = IPv4Network | IPv6Network

_NAME = re.compile(r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.?)+")
_NAT64 = IPv6Network("64:ff9b::/96")
_LAST_32_BITS = 2**32 - 1


class ForbiddenAddress(Exception):
    """A host, which is the text, has no address that may be reached."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What may be reached beside the internet: networks, and names that may lead anywhere."""

    networks: tuple[Network, ...] = ()
    names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, internal: Iterable[str]) -> Reach:
        """From names and networks as a host writes them. Raises `InvalidConfig`."""
        networks: list[Network] = []
        names: set[str] = set()
        problems: list[str] = []
        for entry in internal:
            try:
                networks.append(ip_network(entry, strict=False))
            except ValueError:
                names.add(entry.lower().rstrip("."))
                if not _NAME.fullmatch(entry.lower()) or entry.replace(".", "").isdigit():
                    problems.append(f"internal={entry!r} is neither a network nor a host's name")
        if problems:
            raise InvalidConfig(problems)
        return cls(tuple(networks), frozenset(names))

    async def resolve(self, host: str, port: int) -> list[str]:
        """The addresses of a host that may be reached, at least one.

        Raises `ForbiddenAddress`, and `OSError` for a name that leads nowhere at all.
        """
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(place[0]) for *_, place in found))
        if host.lower().rstrip(".") in self.names:
            return addresses
        allowed = [address for address in addresses if self.includes(ip_address(address))]
        if not allowed:
            raise ForbiddenAddress(host)
        return allowed

    def includes(self, address: Address) -> bool:
        """Whether an address may be reached."""
        inner = _embedded(address)
        if any(inner in network or address in network for network in self.networks):
            return True
        return _is_public(address) and _is_public(inner)


def _is_public(address: Address) -> bool:
    return address.is_global and not address.is_multicast


def _embedded(address: Address) -> Address:
    """The IPv4 address that an IPv6 address leads to, where it is made of one."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & _LAST_32_BITS)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else address)
