"""What a process knows of its own lease: whether others may have taken its steps over meanwhile.

A process that stood still doesn't notice. Its next heartbeat makes it look alive again, but what it
had claimed may be somebody else's by then. So not only the last heartbeat counts: there mustn't
have been a gap since the claim. Times are this process's own, in seconds.
"""

from __future__ import annotations

import time


class Lease:
    """A lease that ends `length` seconds after its last renewal, or when the loop is blocked.

    It is renewed by the heartbeat's thread, every `interval` seconds, and asked by the event loop.
    What it says errs on the safe side: a renewal counts from when it was asked for.
    """

    def __init__(self, length: float, blocked: float, interval: float) -> None:
        self._length = length
        self._longest_silence = max(blocked - 2 * interval, blocked / 2)
        self._longest_gap = max(length / 2, 1.5 * interval)
        self._renewed = self._answered = self._unbroken_since = self.now()
        self._gap, self._gap_ended = 0.0, self._renewed

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
        gap = moment - self._renewed
        if gap >= self._length:
            self._unbroken_since = moment
        if gap >= self._longest_gap:
            self._gap, self._gap_ended = gap, moment
        self._renewed = asked

    def answered(self) -> None:
        """The event loop runs."""
        moment = self.now()
        if moment - self._answered >= self._longest_silence:
            self._unbroken_since = moment
        self._answered = moment

    @property
    def patience(self) -> float:
        """Seconds to add to others' silence before they count as dead.

        When this process couldn't reach the database, others may not have been able to either: they
        look silent and aren't. They get as long as that lasted, until a lease has passed since.
        """
        silence = self.now() - self._renewed
        if silence >= self._longest_gap:
            return silence
        return self._gap if self.now() - self._gap_ended < self._length else 0.0

    def has_held_since(self, moment: float) -> bool:
        """Whether nobody can have taken over what this process has claimed since a moment."""
        is_held = self.now() - self._renewed < self._length  # before the other: it is written last
        return is_held and self.loop_age < self._longest_silence and self._unbroken_since <= moment
