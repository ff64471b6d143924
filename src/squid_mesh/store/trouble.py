"""What a process says of trouble with its database: once when it begins, and once when it is over.

Every part that uses the database (committers, loops, the heartbeat) tries again by itself, and each
would say so each time. They tell this instead, from whatever thread they run in.
"""

from __future__ import annotations

import logging
import threading
import time

import psycopg

logger = logging.getLogger(__name__)

PASSES = frozenset({"08", "25", "40", "53", "55", "57", "58"})
"""SQLSTATE classes of what passes: connections, read-only, conflicts, resources, restarts, I/O."""

QUIET_SECONDS = 60.0
"""After trouble was told, other trouble is told within that time only when it lasts."""

LASTING_SECONDS = 1.0
"""Trouble that lasts so long is told in any case."""


class Trouble:
    """The trouble of one process: begun when some part meets it, over when no part has it left.

    A server that is up again is told while some parts have yet to find out that their connection is
    gone; what they then meet is part of the same story, and isn't told. Nor is every single one of
    backends that somebody ends again and again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parts: set[str] = set()
        self._began = 0.0
        self._met: float | None = None
        self._told: float | None = None
        self._is_told = False

    def met(self, part: str, error: BaseException) -> None:
        """A part of the process can't use the database now, and tries again."""
        with self._lock:
            now = self._met = time.monotonic()
            if not self._parts:
                self._began = now
            self._parts.add(part)
            is_news = not self._is_told and self._is_worth_telling(now)
            if is_news:
                self._is_told, self._told = True, now
        if is_news:
            logger.warning(
                "the database can't be used as it should (%s: %s): what needs it waits and is "
                "tried again, no run fails for it",
                part,
                told(error),
            )

    def over(self, part: str) -> None:
        """A part of the process has used the database."""
        if part not in self._parts:  # without the lock: this is asked once a flush
            return
        with self._lock:
            self._parts.discard(part)
            is_over = not self._parts and self._is_told
            lasted = time.monotonic() - self._began
            self._is_told = self._is_told and not is_over
        if is_over:
            logger.warning("the database can be used again, after %.1f s", lasted)

    def was_within(self, seconds: float) -> bool:
        """Whether some part met trouble so recently."""
        return self._met is not None and time.monotonic() - self._met <= seconds

    def _is_worth_telling(self, now: float) -> bool:
        is_lasting = now - self._began >= LASTING_SECONDS
        return is_lasting or self._told is None or now - self._told >= QUIET_SECONDS


def passes(error: BaseException) -> bool:
    """Whether an error says that the database, or the way to it, can't be used now.

    It then says nothing of what was asked, which can be asked again.
    """
    if not isinstance(error, psycopg.Error):
        return isinstance(error, OSError | TimeoutError)
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return error.sqlstate[:2] in PASSES


def told(error: BaseException) -> str:
    """What the server says, without its details: they repeat rows, personal data and all."""
    said = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return said or str(error).strip().split("\n", 1)[0] or type(error).__name__
