"""What running one claimed step can come to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from squid_mesh.definition.spec import Json
from squid_mesh.runtime.failures import BodyFailure
from squid_mesh.store.records import Outcome, Progress


@dataclass(frozen=True, slots=True)
class Output:
    """What a body returned: as it is stored (None for nothing), and as later steps read it."""

    stored: bytes | None
    value: Json


@dataclass(frozen=True, slots=True)
class Sleep:
    """The step is to be woken in so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hold:
    """The step waits for a person, until so many seconds from now if it has a deadline."""

    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class Unfit:
    """No code of this process fits the step: somebody else's may."""

    action: str
    reason: str


NO_OUTPUT = Output(None, None)
"""What built-in steps leave."""

type Result = Output | BodyFailure | Sleep | Hold | Unfit


@dataclass(frozen=True, slots=True)
class Settled:
    """A result that is durable, or was refused, with everything that follows from it."""

    result: Result
    progress: Progress
    outcome: Outcome


type Intend = Callable[[Output], Progress]
"""What is to be written for an output: where the run goes from its step."""
