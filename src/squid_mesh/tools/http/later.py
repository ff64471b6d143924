"""`Retry-After`: when a server wants to be asked again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime


def retry_after(headers: Mapping[str, str], now: datetime, longest: timedelta) -> timedelta | None:
    """From now, within bounds; None when the header is missing or says nothing.

    A moment is compared to the server's own clock where the answer tells it, else to `now`.
    """
    text = headers.get("retry-after", "").strip()
    seconds = _seconds(text)
    if seconds is None and (moment := _moment(text)) is not None:
        server = _moment(headers.get("date", "")) or now
        seconds = (moment - server).total_seconds()
    if seconds is None:
        return None
    return timedelta(seconds=min(max(seconds, 0.0), longest.total_seconds()))


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
