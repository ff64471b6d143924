"""Durations as they are stored: ISO 8601 text, as pydantic writes a `timedelta`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from squid_mesh.definition.values import Codec

_codec = Codec(timedelta)

LONGEST = timedelta(days=3650)
"""No delay is longer: a timestamp must still fit, and nobody waits for it."""


def seconds(value: Any) -> float:
    """A stored duration in seconds, between 0 and ten years. Raises `Unreadable`."""
    duration: timedelta = _codec.load(value)
    return min(max(duration.total_seconds(), 0.0), LONGEST.total_seconds())
