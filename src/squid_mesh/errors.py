"""Every error that Squid Mesh raises, as one tree with fields to act on.

SquidMeshError
├── WorkflowDefinitionError (TypeError)   a workflow class that can't be wired; all its problems
├── InvalidConfig (ValueError)            a setting of a mesh that is missing or wrong
├── NotOpen                               the mesh has not been started, or has been stopped
├── NotInstalled                          the schema isn't there, or is older than this code
├── InvalidPayload (ValueError)           a payload that its model refuses; all its problems
├── PayloadTooLarge (ValueError)
├── InvalidTrigger (LookupError)
├── UnknownWorkflow (LookupError)
├── InvalidRunId (ValueError)
├── RunNotFound (LookupError)
├── InvalidTransition                     the run is in a state that this call can't leave
├── InvalidStep · AmbiguousStep           no step, or several, that the call could act on
├── InvalidReview · InvalidResume         wrong facts with a manual decision
├── InvalidFilter (ValueError)            what a list was asked for that can't be; all its problems
├── KeyConflict                           the key belongs to something else already
├── WaitTimeout (TimeoutError)
├── IncompatibleCode                      loaded code that a pinned definition can't call
├── StepError                             raised by a step: how it failed, and whether to try again
└── RetryLater                            raised by a step: try again, but not before
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

_repr = reprlib.Repr(maxstring=120, maxother=120, maxlong=40)


def shown(value: object) -> str:
    """A value as an error's text shows it: not too long, and whatever it is."""
    return _repr.repr(value)


class SquidMeshError(Exception):
    """The root of all errors raised by Squid Mesh."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a declaration was written."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a definition: where, what, and what to write instead."""

    message: str
    source: Source | None = None

    def __str__(self) -> str:
        return f"{self.source}: {self.message}" if self.source else self.message


class WorkflowDefinitionError(SquidMeshError, TypeError):
    """A workflow that can't be wired as it is written. Lists every problem, in source order."""

    def __init__(self, workflow: str, problems: Sequence[Problem]) -> None:
        self.workflow = workflow
        self.problems = tuple(problems)
        lines = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(f"workflow validation failed: {workflow}\n{lines}")


class InvalidConfig(SquidMeshError, ValueError):
    """Settings of a mesh that are missing or wrong, all of them."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("invalid configuration: " + "; ".join(self.problems))


class NotOpen(SquidMeshError):
    """A call that needs a running mesh, on one that isn't started or has been stopped."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"mesh {name!r} is not open: use `async with mesh:`, or await mesh.start()"
        )


class NotInstalled(SquidMeshError):
    """The database lacks Squid Mesh's schema (or Oban's), or holds an older version of it."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


class InvalidPayload(SquidMeshError, ValueError):
    """A payload that the workflow's model refuses. Every problem at once.

    `missing_fields` and `unknown_fields` are names; `invalid_fields` maps a dotted path to what is
    wrong with the value there; `index` is the payload's place in a list given to `start_runs`.
    """

    def __init__(
        self,
        workflow: str,
        *,
        missing_fields: Sequence[str] = (),
        unknown_fields: Sequence[str] = (),
        invalid_fields: Mapping[str, str] | None = None,
        index: int | None = None,
    ) -> None:
        self.workflow = workflow
        self.missing_fields = tuple(missing_fields)
        self.unknown_fields = tuple(unknown_fields)
        self.invalid_fields = dict(invalid_fields or {})
        self.index = index
        super().__init__(self._text())

    def _text(self) -> str:
        parts = [f"missing: {', '.join(self.missing_fields)}"] if self.missing_fields else []
        if self.unknown_fields:
            parts.append(f"unknown: {', '.join(self.unknown_fields)}")
        parts += [f"{path}: {why}" for path, why in self.invalid_fields.items()]
        place = "" if self.index is None else f" (payload {self.index})"
        return f"invalid payload for {self.workflow}{place}: " + "; ".join(parts)


class PayloadTooLarge(SquidMeshError, ValueError):
    """A payload of more bytes of JSON than the mesh stores."""

    def __init__(self, size: int, limit: int) -> None:
        self.size, self.limit = size, limit
        super().__init__(
            f"the payload is {size:,} bytes of JSON, the limit is {limit:,}: "
            "store it elsewhere and pass a reference to it"
        )


class InvalidTrigger(SquidMeshError, LookupError):
    """A trigger that the workflow doesn't declare."""

    def __init__(
        self, workflow: str, trigger: str, declared: Sequence[str], *, kind: str = "trigger"
    ) -> None:
        self.workflow, self.trigger, self.declared = workflow, trigger, tuple(declared)
        known = ", ".join(self.declared) or "none"
        super().__init__(f"{workflow} has no {kind} {shown(trigger)}; it declares {known}")


class UnknownWorkflow(SquidMeshError, LookupError):
    """A workflow that isn't among those given to this mesh."""

    def __init__(self, workflow: str) -> None:
        self.workflow = workflow
        super().__init__(f"{workflow} is not one of this mesh's workflows: add it to workflows=[…]")


class InvalidRunId(SquidMeshError, ValueError):
    """Text that is no UUID where a run's id belongs."""

    def __init__(self, value: object) -> None:
        self.value = value
        super().__init__(f"{shown(value)} is not a run id: pass a UUID or its text")


class RunNotFound(SquidMeshError, LookupError):
    """No run has this id."""

    def __init__(self, run_id: UUID) -> None:
        self.run_id = run_id
        super().__init__(f"there is no run {run_id}")


class InvalidTransition(SquidMeshError):
    """The run is in a state from which this call leads nowhere. Nothing was written."""

    def __init__(self, run_id: UUID, status: str, wanted: str) -> None:
        self.run_id, self.status, self.wanted = run_id, status, wanted
        super().__init__(f"run {run_id} is {status}, it can't become {wanted}")


class InvalidStep(SquidMeshError, LookupError):
    """The step isn't declared, or isn't one that this call can act on."""

    def __init__(self, run_id: UUID, step: str, reason: str) -> None:
        self.run_id, self.step, self.reason = run_id, step, reason
        super().__init__(f"step {shown(step)} of run {run_id}: {reason}")


class AmbiguousStep(SquidMeshError, LookupError):
    """Several steps wait for a decision and none was named."""

    def __init__(self, run_id: UUID, steps: Sequence[str]) -> None:
        self.run_id, self.steps = run_id, tuple(steps)
        super().__init__(
            f"run {run_id} waits at {', '.join(self.steps)}: name the one you mean with step=…"
        )


class InvalidReview(SquidMeshError, ValueError):
    """Facts of an approval or a rejection that are missing or of the wrong kind, all of them."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        super().__init__("; ".join(f"{name}: {why}" for name, why in self.problems.items()))


class InvalidResume(SquidMeshError, ValueError):
    """Facts of an unblocking that are of the wrong kind, all of them."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        super().__init__("; ".join(f"{name}: {why}" for name, why in self.problems.items()))


class InvalidFilter(SquidMeshError, ValueError):
    """Filters of a list that can't be, all of them: what is wrong, by argument."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        super().__init__("; ".join(f"{name}: {why}" for name, why in self.problems.items()))


class KeyConflict(SquidMeshError):
    """The key was used before, for something else. `run_id` is the run that holds it."""

    def __init__(self, run_id: UUID, key: str) -> None:
        self.run_id, self.key = run_id, key
        super().__init__(
            f"key {key!r} belongs to run {run_id}, which was started with another trigger or "
            "payload: use a new key for a new piece of work"
        )


class WaitTimeout(SquidMeshError, TimeoutError):
    """The run didn't get there in time. `run` is how it was when last seen."""

    def __init__(self, run: Any, seconds: float) -> None:
        self.run = run
        super().__init__(f"run {run.id} is still {run.status} after {seconds:g} s")


class IncompatibleCode(SquidMeshError):
    """The loaded function can't be called as a pinned definition wires it."""

    def __init__(self, action: str, reasons: Sequence[str]) -> None:
        self.action, self.reasons = action, tuple(reasons)
        super().__init__(f"{action} no longer fits: " + "; ".join(self.reasons))


class StepError(SquidMeshError):
    """Raised by a step to say how it failed.

    `code` and `details` (JSON-able) are stored with the attempt; `retryable=False` skips the
    step's retry policy and goes straight to its error route.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        details: Mapping[str, Any] | None = None,
        retryable: bool = True,
    ) -> None:
        self.message, self.code, self.retryable = message, code, retryable
        self.details = None if details is None else dict(details)
        super().__init__(message)


class RetryLater(SquidMeshError):
    """Raised by a step to be tried again after `after`, instead of after its policy's backoff.

    It uses up an attempt like any failure; a step without a retry policy isn't tried again.
    """

    def __init__(self, after: timedelta, message: str | None = None) -> None:
        self.after = after
        super().__init__(message or f"asked to be tried again after {after.total_seconds():g} s")
