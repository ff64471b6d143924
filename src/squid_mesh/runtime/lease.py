"""What a process knows of its own lease: whether others may have taken its steps over meanwhile.

A process that stood still doesn't notice. Its next heartbeat makes it look alive again, but what it
had claimed may be somebody else's by then. So not only the last heartbeat counts: there mustn't
have been a gap since the claim. And whoever couldn't beat itself knows nothing of others: when the
database was gone, all are silent, and most of them alive. Times are this process's own, in seconds.
"""

from __future__ import annotations

import time

_BEATS = 3
"""Heartbeats after trouble until everybody alive has made one."""

_NO_END = 1e9
"""Seconds that nobody is silent for."""


class Lease:
    """A lease that ends `length` seconds after its last renewal, or when the loop is blocked.

    It is renewed by the heartbeat's thread, every `interval` seconds, and asked by the event loop.
    What it says errs on the safe side: a renewal counts from when it was asked for.
    """

    def __init__(self, length: float, blocked: float, interval: float) -> None:
        self._length = length
        self._interval = interval
        self._delays: tuple[float, ...] = ()
        self._longest_silence = max(blocked - 2 * interval, blocked / 2)
        self._renewed = self._answered = self._unbroken_since = self.now()

    @staticmethod
    def now() -> float:
        """The moment, for `has_held_since`."""
        return time.monotonic()

    @property
    def loop_age(self) -> float:
        """How long ago the event loop last answered."""
        return self.now() - self._answered

    def renewed(self, asked: float) -> None:
        """The database has taken a heartbeat that was sent at the moment `asked`."""
        moment = self.now()
        if moment - self._renewed >= self._length:
            self._unbroken_since = moment
        delay = moment - self._renewed - self._interval
        self._delays = (*self._delays[1 - _BEATS :], delay)
        self._renewed = asked

    def answered(self) -> None:
        """The event loop runs."""
        moment = self.now()
        if moment - self._answered >= self._longest_silence:
            self._unbroken_since = moment
        self._answered = moment

    @property
    def patience(self) -> float:
        """How much longer than usual another process may be silent before it counts as dead.

        As much as this one was itself, beyond its interval, between its last few heartbeats and
        since: what kept it from beating may keep others. At first it doesn't know, and judges none.
        """
        if len(self._delays) < _BEATS:
            return _NO_END
        return max(*self._delays, self.now() - self._renewed - self._interval, 0.0)

    def has_held_since(self, moment: float) -> bool:
        """Whether nobody can have taken over what this process has claimed since a moment."""
        is_held = self.now() - self._renewed < self._length  # before the other: it is written last
        return is_held and self.loop_age < self._longest_silence and self._unbroken_since <= moment
