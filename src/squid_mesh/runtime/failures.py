"""Exceptions of step bodies as stored failures, and what the retry policy needs to know of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Self

import orjson
from pydantic import ValidationError
from pydantic_core import to_json

from squid_mesh.definition.actions import name_of
from squid_mesh.definition.secrets import Secrets
from squid_mesh.definition.values import Unstorable, storable, told
from squid_mesh.engine.retry import Failed
from squid_mesh.errors import RetryLater, StepError

LONGEST_MESSAGE = 10_000
"""Characters of an error's text that are kept."""


@dataclass(frozen=True, slots=True)
class BodyFailure:
    """A failed attempt: its error as JSON, and the facts that decide what follows."""

    error: dict[str, Any]
    failed: Failed
    cause: BaseException | None = field(default=None, compare=False, repr=False)
    """What the body raised, for whoever shows where."""

    @property
    def stored(self) -> bytes:
        """The error as it is stored."""
        return orjson.dumps(self.error)

    def without(self, secrets: Secrets) -> Self:
        """The failure as it may be shown: stored, told and logged."""
        hidden = secrets.hide_in(self.error)
        return self if hidden is self.error else replace(self, error=hidden)


def from_exception(error: BaseException, step: str, attempt: int) -> BodyFailure:
    """What an exception out of a body says. Never raises, whatever the exception does."""
    return replace(_from_exception(error, step, attempt), cause=error)


def _from_exception(error: BaseException, step: str, attempt: int) -> BodyFailure:
    kinds = tuple(name_of(kind) for kind in type(error).__mro__)
    try:
        return _told(error, kinds, step, attempt)
    except BaseException:  # noqa: BLE001 (an error that was put together wrongly is still to be told)
        return _failure(error, None, None, Failed(kinds), step, attempt)


def _told(error: BaseException, kinds: tuple[str, ...], step: str, attempt: int) -> BodyFailure:
    """The failure, with what `StepError` and `RetryLater` say beside their text."""
    match error:
        case StepError():
            failed = Failed(kinds, error.retryable)
            return _failure(error, error.code, error.details, failed, step, attempt)
        case RetryLater():
            failed = Failed(kinds, after=error.after.total_seconds())
            return _failure(error, "retry_later", None, failed, step, attempt)
        case _:
            return _failure(error, None, None, Failed(kinds), step, attempt)


def refusal(code: str, message: str, step: str, attempt: int) -> BodyFailure:
    """A failure that the engine itself finds; trying again can't help."""
    error = _stored("SquidMesh", message, code, None, retryable=False, step=step, attempt=attempt)
    return BodyFailure(error, Failed(retryable=False))


def _failure(
    error: BaseException, code: str | None, details: Any, failed: Failed, step: str, attempt: int
) -> BodyFailure:
    stored = _stored(
        type(error).__name__,
        _text(error),
        code,
        _plain(details),
        retryable=failed.retryable,
        step=step,
        attempt=attempt,
    )
    return BodyFailure(stored, failed)


def _stored(
    kind: str,
    message: str,
    code: str | None,
    details: Any,
    *,
    retryable: bool,
    step: str,
    attempt: int,
) -> dict[str, Any]:
    return {
        "type": kind,
        "message": _clean(message),
        "code": None if code is None else _clean(code),
        "details": details,
        "retryable": retryable,
        "step": step,
        "attempt": attempt,
    }


def _text(error: BaseException) -> str:
    try:
        if isinstance(error, ValidationError):  # its own text repeats what it was given
            return f"{error.error_count()} problems with {error.title}: {told(error)}"
        return str(error) or type(error).__name__
    except BaseException:  # noqa: BLE001 (an error whose __str__ raises is still to be told)
        return f"{type(error).__name__} (its text can't be shown)"


def _clean(text: str) -> str:
    """Text that Postgres can store: no NUL, no lone surrogate, not endless."""
    shown = str(text)[:LONGEST_MESSAGE].replace("\0", "\N{SYMBOL FOR NULL}")
    return shown.encode("utf-8", "replace").decode()


def _plain(details: Any) -> Any:
    """Details as JSON; what JSON can't hold is shown as text, what is too much is left out."""
    if details is None:
        return None
    try:
        return orjson.loads(storable(to_json(details, fallback=repr, inf_nan_mode="constants")))
    except (ValueError, TypeError, RecursionError, Unstorable) as error:
        return {"unstorable": _clean(f"the details {error}")}
