"""The workflow specification: the one value that every other package reads.

A spec is plain data. It holds no functions and no types, compares by value, and is its own JSON
document (`document.py`). A step's `action` names the code to run; the runtime resolves it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

COMPLETE = "complete"
"""The one target that is no step: the run is over."""

type Json = Any
"""A value as `json.loads` gives it. (A precise recursive alias makes every checker slower, and
no caller safer: what is in it is only known once it has been validated.)"""

type Path = tuple[str | int, ...]
"""Keys and indexes into a JSON value."""


_CLOSED = ConfigDict(extra="forbid")
"""For every part of the document: a key that the format doesn't know is an error, not a typo."""


class StepKind(StrEnum):
    """What a step does: run a function, or one of the built-in things."""

    ACTION = "action"
    LOG = "log"
    WAIT = "wait"
    PAUSE = "pause"
    APPROVAL = "approval"


class Exit(StrEnum):
    """The ways out of a step. `OK` is the plain one, and the rest after every `WHEN`."""

    OK = "ok"
    WHEN = "when"
    ERROR = "error"
    APPROVED = "approved"
    REJECTED = "rejected"
    TIMEOUT = "timeout"


class Origin(StrEnum):
    """Where a referenced value is kept."""

    PAYLOAD = "payload"
    OUTPUT = "output"
    ERROR = "error"


# -- wires: where an input comes from ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reference:
    """A stored value: a payload field, a step's output or its last error, and a path into it."""

    __pydantic_config__ = _CLOSED

    origin: Annotated[Origin, Field(alias="from")]
    step: str | None = None
    path: Path = ()
    optional: bool = False

    def __str__(self) -> str:
        head = "payload" if self.step is None else f"{self.step}.{self.origin}"
        return ".".join((head, *map(str, self.path)))


@dataclass(frozen=True, slots=True)
class Injected:
    """Something of the surroundings, given to the body when it runs and never stored."""

    __pydantic_config__ = _CLOSED

    origin: Annotated[Literal["context", "resource", "connection", "session"], Field(alias="from")]
    type: str | None = None

    @property
    def is_transactional(self) -> bool:
        """Whether it leads to the transaction that commits together with the step's result."""
        return self.origin in {"connection", "session"}


@dataclass(frozen=True, slots=True)
class Constant:
    """A JSON value written in the definition."""

    __pydantic_config__ = _CLOSED

    value: Json


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list (or tuple) with wires in it."""

    __pydantic_config__ = _CLOSED

    items: Annotated[tuple[Wire, ...], Field(alias="list")]


@dataclass(frozen=True, slots=True)
class DictOf:
    """A dict with wires as values."""

    __pydantic_config__ = _CLOSED

    items: Annotated[dict[str, Wire], Field(alias="dict")]


type Wire = Reference | Injected | Constant | ListOf | DictOf


def references(wire: Wire) -> tuple[Reference, ...]:
    """Every reference in a wire, in order."""
    match wire:
        case Reference():
            return (wire,)
        case ListOf(items):
            return tuple(ref for item in items for ref in references(item))
        case DictOf(items):
            return tuple(ref for item in items.values() for ref in references(item))
        case _:
            return ()


# -- retry ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BackoffSpec:
    """Seconds between attempts: `min` doubled with every failure, up to `max`."""

    __pydantic_config__ = _CLOSED

    min: float
    max: float


@dataclass(frozen=True, slots=True)
class RetrySpec:
    """How often a failing step is tried, and what it never is tried again for."""

    __pydantic_config__ = _CLOSED

    max_attempts: int
    backoff: BackoffSpec | None = None
    jitter: bool = True
    stop_on: tuple[str, ...] = ()


# -- the graph -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ParameterSpec:
    """A parameter of an action. `schema` is a digest of what it accepts, None when injected."""

    __pydantic_config__ = _CLOSED

    name: str
    required: bool
    schema: str | None = None


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """A function as a definition sees it: its name, its parameters and what it returns.

    `output` is a digest of the output's JSON schema, `cases` every value of a closed type, `secret`
    whether there are secrets in it.
    """

    __pydantic_config__ = _CLOSED

    name: str
    parameters: tuple[ParameterSpec, ...] = ()
    output: str | None = None
    cases: tuple[Json, ...] | None = None
    secret: bool = False


@dataclass(frozen=True, slots=True)
class StepSpec:
    """One declared step. Delays and deadlines are wires, as they may come from the payload."""

    __pydantic_config__ = _CLOSED

    name: str
    kind: StepKind
    output: str
    action: ActionSpec | None = None
    inputs: dict[str, Wire] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    retry: RetrySpec | None = None
    timeout: float | None = None
    queue: str | None = None
    on_interrupt: Literal["retry", "pause", "fail"] = "retry"
    formerly: tuple[str, ...] = ()
    message: str | None = None
    level: Literal["debug", "info", "warning", "error"] | None = None
    duration: Wire | None = None
    deadline: Wire | None = None

    def wires(self) -> dict[str, Wire]:
        """Every wire by the name a reader knows it by."""
        timers = {"duration": self.duration, "deadline": self.deadline}
        return self.inputs | {name: wire for name, wire in timers.items() if wire is not None}

    def transactional(self) -> dict[str, Injected]:
        """The inputs that its writes go through; a sound step has at most one."""
        return {
            name: wire
            for name, wire in self.inputs.items()
            if isinstance(wire, Injected) and wire.is_transactional
        }


@dataclass(frozen=True, slots=True)
class EdgeSpec:
    """A transition. `value` is the output that takes a `WHEN` edge, and means nothing otherwise."""

    __pydantic_config__ = _CLOSED

    step: str
    on: Exit
    to: str
    value: Json = None


@dataclass(frozen=True, slots=True)
class TriggerSpec:
    """A way to start a run. `payload` names the function that makes a cron window's payload."""

    __pydantic_config__ = _CLOSED

    name: str
    kind: Literal["manual", "cron"]
    expression: str | None = None
    timezone: str | None = None
    payload: str | None = None
    missed: Literal["skip", "latest", "all"] | None = None
    max_missed: int | None = None


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """A field of the payload."""

    __pydantic_config__ = _CLOSED

    name: str
    required: bool
    schema: str
    secret: bool = False


@dataclass(frozen=True, slots=True)
class PayloadSpec:
    """The payload's model, by name, and its fields."""

    __pydantic_config__ = _CLOSED

    model: str
    fields: tuple[FieldSpec, ...] = ()


@dataclass(frozen=True)
class WorkflowSpec:
    """A whole workflow. `flow` says whether edges (True) or dependencies (False) give the order."""

    __pydantic_config__ = _CLOSED

    name: str
    flow: bool
    triggers: tuple[TriggerSpec, ...]
    payload: PayloadSpec
    steps: tuple[StepSpec, ...]
    edges: tuple[EdgeSpec, ...] = ()
    format: Literal[1] = 1

    @cached_property
    def by_name(self) -> dict[str, StepSpec]:
        """The steps by their names."""
        return {step.name: step for step in self.steps}

    @cached_property
    def dependencies(self) -> dict[str, tuple[str, ...]]:
        """For each step of a dependency workflow the steps it waits for: its wires and `after`."""
        return {step.name: _dependencies(step) for step in self.steps}


def _dependencies(step: StepSpec) -> tuple[str, ...]:
    wired = (ref.step for wire in step.wires().values() for ref in references(wire))
    return tuple(dict.fromkeys(name for name in (*wired, *step.after) if name is not None))
