"""Tells those who listen. What one of them raises is logged, and changes nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from squid_mesh.errors import InvalidConfig
from squid_mesh.telemetry.events import Event, Observer
from squid_mesh.telemetry.instruments import (
    Failure,
    Flushed,
    Instrument,
    Measure,
    Span,
    Starting,
    Work,
)

logger = logging.getLogger("squid_mesh.telemetry")


class Telemetry:
    """The observers of one mesh, in the order they were given, and its instrument.

    * `is_heard`: whether there is anybody to tell; events needn't be made for nobody.
    * `is_instrumented`: whether spans and measures are wanted.

    Both are plain attributes, so that asking costs nothing. Raises `InvalidConfig` for a second
    instrument: a run has one trace.
    """

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self._observers = tuple(observers)
        instruments = [one for one in self._observers if isinstance(one, Instrument)]
        if len(instruments) > 1:
            names = " and ".join(type(one).__name__ for one in instruments)
            raise InvalidConfig([f"observers: {names} are instruments, and a mesh has one at most"])
        self._instrument = instruments[0] if instruments else Instrument()
        self.is_heard = bool(self._observers)
        self.is_instrumented = bool(instruments)

    def tell(self, event: Event) -> None:
        """Tell every observer."""
        for observer in self._observers:
            try:
                observer(event)
            except Exception:
                logger.exception("an observer failed at %s", type(event).__name__)

    def begin_start(self, starting: Starting) -> Span | None:
        """A run is about to be written."""
        return self._asked(lambda: self._instrument.begin_start(starting))

    def begin_step(self, work: Work) -> Span | None:
        """A step is about to be performed."""
        return self._asked(lambda: self._instrument.begin_step(work))

    def trace_of(self, span: Span | None) -> str | None:
        """What is to be kept with a run."""
        return None if span is None else self._asked(lambda: span.trace)

    def end(self, span: Span | None, outcome: str, failure: Failure | None = None) -> None:
        """What was begun has come to something."""
        if span is not None:
            self._asked(lambda: span.end(outcome, failure))

    def measure(self, measure: Measure) -> None:
        """Tell of this process."""
        self._asked(lambda: self._instrument.measure(measure))

    @property
    def wants_oldest_ready(self) -> bool:
        """Whether `OldestReady` is to be read now."""
        return bool(self._asked(lambda: self._instrument.wants_oldest_ready))

    def flushes(self, kind: str) -> Callable[[int, float], None] | None:
        """What is to be called with the size of a flush and its seconds; None when nobody hears."""
        if not self.is_instrumented:
            return None
        return lambda records, seconds: self.measure(
            Flushed(kind=kind, records=records, seconds=seconds)
        )

    def _asked[T](self, ask: Callable[[], T]) -> T | None:
        try:
            return ask()
        except Exception:
            logger.exception("instrument %s failed", type(self._instrument).__name__)
            return None
