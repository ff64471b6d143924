"""Reads the options of a node into the values that a spec holds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Literal, cast

from squid_mesh.definition.actions import name_of
from squid_mesh.definition.nodes import Node
from squid_mesh.definition.options import Constant, Exponential, Retry
from squid_mesh.definition.reference import Broken, Ref, problem_of
from squid_mesh.definition.report import Report
from squid_mesh.definition.spec import BackoffSpec, RetrySpec

LEVELS = ("debug", "info", "warning", "error")
ON_INTERRUPT = ("retry", "pause", "fail")


class Settings:
    """The options of one node. One that can't be read is reported, and read as left out."""

    def __init__(self, node: Node, report: Report) -> None:
        self.node = node
        self.report = report

    def output(self) -> str:
        """The name of the output, the step's own by default."""
        name = self._option("output", _is_text, 'write output="digest"')
        return self.node.name if name is None else name

    def message(self) -> str:
        """The text of a log."""
        text = self._option("message", _is_text, 'write log("Posting the daily digest")')
        return "…" if text is None else text

    def level(self) -> Literal["debug", "info", "warning", "error"]:
        """The level of a log."""
        advice = "write one of " + ", ".join(map(repr, LEVELS))
        level = self._option("level", LEVELS.__contains__, advice)
        return cast("Literal['info']", level or "info")

    def queue(self) -> str | None:
        """The Oban queue of a step."""
        return cast("str | None", self._option("queue", _is_text, 'write queue="mail"'))

    def timeout(self) -> float | None:
        """Seconds for an attempt."""
        timeout = self._option("timeout", _is_time, "write timeout=timedelta(seconds=30)")
        return None if timeout is None else timeout.total_seconds()

    def on_interrupt(self) -> Literal["retry", "pause", "fail"]:
        """What happens when the worker dies in the middle."""
        advice = "write one of " + ", ".join(map(repr, ON_INTERRUPT))
        choice = self._option("on_interrupt", ON_INTERRUPT.__contains__, advice)
        return cast("Literal['retry']", choice or "retry")

    def formerly(self) -> tuple[str, ...]:
        """Earlier names of the step's function."""
        names = self._option("formerly", _is_texts, 'write formerly=("module:function",)')
        return tuple(names or ())

    def after(self, workflow: type) -> tuple[str, ...]:
        """The names of the steps that come before."""
        after: Any = self.node.after
        if not isinstance(after, list | tuple):
            self._tell(f"after of {self.node!r} is no list: write after=[step, …]")
            return ()
        names: list[str] = []
        for other in cast("Sequence[object]", after):
            if isinstance(other, Node) and workflow in other.owners:
                names.append(other.name)
            else:
                self._tell(
                    f"{self.node!r} comes after {other!r}, which is no step of this workflow: "
                    "write after=[step, …] with steps of the same class body"
                )
        return tuple(dict.fromkeys(names))

    def retry(self) -> RetrySpec | None:
        """The retry policy."""
        retry = self._option("retry", _is_retry, "write Retry(max_attempts=3)")
        if retry is None:
            return None
        if not _is_exceptions(retry.stop_on):
            self._tell(
                f"stop_on of {self.node!r} is {retry.stop_on!r}: "
                "write a tuple of exception classes, stop_on=(ValueError,)"
            )
            retry = Retry(retry.max_attempts)
        stop_on = tuple(map(name_of, retry.stop_on))
        return RetrySpec(retry.max_attempts, self._backoff(retry), bool(retry.jitter), stop_on)

    def _backoff(self, retry: Retry) -> BackoffSpec | None:
        backoff: Any = retry.backoff
        match backoff:
            case None:
                return None
            case Exponential(timedelta() as least, timedelta() as most):
                return BackoffSpec(least.total_seconds(), most.total_seconds())
            case Constant(timedelta() as delay):
                return BackoffSpec(delay.total_seconds(), delay.total_seconds())
            case _:
                self._tell(
                    f"backoff of {self.node!r} is {backoff!r}: write "
                    "Exponential(timedelta(seconds=1), timedelta(minutes=1))"
                )
                return None

    def _option(self, name: str, is_right: Callable[[Any], bool], advice: str) -> Any:
        """The option, None when it is left out or reported."""
        value = self.node.options.get(name)
        if isinstance(value, Broken):
            problem = problem_of(value)
            self.report.tell(f"{name} of {self.node!r}: {problem.message}", problem.source)
        elif isinstance(value, Ref):
            self._tell(
                f"{name} of {self.node!r} takes no reference, as it is the same for every run: "
                f"{advice}. Inputs, a wait's duration and an approval's deadline can be wired"
            )
        elif value is not None and not is_right(value):
            self._tell(f"{name} of {self.node!r} is {value!r}: {advice}")
        else:
            return value
        return None

    def _tell(self, message: str) -> None:
        self.report.tell(message, self.node.source)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(map(_is_text, cast("list[Any]", value)))


def _is_time(value: Any) -> bool:
    return isinstance(value, timedelta)


def _is_retry(value: Any) -> bool:
    return isinstance(value, Retry) and type(value.max_attempts) is int


def _is_exceptions(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(
        isinstance(kind, type) and issubclass(kind, BaseException)
        for kind in cast("list[Any]", value)
    )
