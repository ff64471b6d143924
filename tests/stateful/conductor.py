"""Bodies that do what a test tells them, and the deliveries of jobs that they run in."""

import asyncio
from collections.abc import Coroutine
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from squid_mesh import RetryLater, StepContext, StepError
from squid_mesh.engine.retry import Failed
from squid_mesh.runtime.intake import PutBack
from squid_mesh.runtime.jobs import Job

LATER = 1050.0
"""Seconds that `RetryLater` asks for."""

WITHIN = 20.0
"""Seconds until a delivery must have come to rest: far more than it takes."""

type Outcome = PutBack | None


class Final(Exception):
    """What a policy may name in `stop_on`."""


class How(StrEnum):
    """What a body can be told to come to."""

    LEFT = "left"
    RIGHT = "right"
    REST = "rest"
    RAISE = "raise"
    EXIT = "exit"
    FINAL = "final"
    REFUSE = "refuse"
    LATER = "later"
    NONSENSE = "nonsense"

    def do(self) -> Any:
        """Return or raise it."""
        match self:
            case How.LEFT | How.RIGHT | How.REST:
                return self.value
            case How.RAISE:
                raise ValueError("told to")
            case How.EXIT:
                raise SystemExit("told to")
            case How.FINAL:
                raise Final("told to")
            case How.REFUSE:
                raise StepError("told to", code="refused", retryable=False)
            case How.LATER:
                raise RetryLater(timedelta(seconds=LATER))
            case How.NONSENSE:
                return 5

    @property
    def failed(self) -> Failed | None:
        """What the retry policy sees of it; None for an output."""
        match self:
            case How.LEFT | How.RIGHT | How.REST:
                return None
            case How.RAISE | How.EXIT:
                return Failed()
            case How.FINAL:
                return Failed(kinds=(f"{Final.__module__}:{Final.__qualname__}",))
            case How.REFUSE | How.NONSENSE:
                return Failed(retryable=False)
            case How.LATER:
                return Failed(after=LATER)


OUTPUTS = (How.LEFT, How.RIGHT, How.REST)

type Answer = Literal["left", "right", "rest"]


@dataclass(frozen=True, slots=True)
class Body:
    """A body that has begun and waits to be told."""

    run_id: UUID
    step: str
    attempt: int
    read: tuple[str, ...]


@dataclass(eq=False)
class Delivery:
    """One delivery of a job to one boot: the test is Oban.

    `is_owner` says that this is the delivery which the job's row tells of; others are duplicates.
    """

    job: Job
    boot: int
    is_owner: bool
    steps: int = 0
    body: Body | None = None
    told: "asyncio.Future[How] | None" = None
    task: "asyncio.Task[Outcome] | None" = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def _repr_pretty_(self, printer: Any, _cycle: object) -> None:
        at = f"{self.body.step}, attempt {self.body.attempt}" if self.body else "over"
        printer.text(f"job {self.job.id} for {self.job.step} on {self.boot}: {at}")

    def begin(self, driving: Coroutine[Any, Any, Outcome]) -> None:
        """Drive, in a task of its own as Oban does."""
        before = DELIVERY.set(self)
        self.task = asyncio.create_task(driving)
        DELIVERY.reset(before)
        self.task.add_done_callback(lambda _: self.changed.set())

    async def perform(self, body: Body) -> How:
        """Be in a body until the test says what it comes to."""
        self.told = asyncio.get_running_loop().create_future()
        self.body = body
        self.changed.set()
        return await self.told

    def tell(self, how: How) -> None:
        """Let the body go on."""
        assert self.told is not None
        self.body = None
        self.told.set_result(how)

    async def settled(self) -> Body | None:
        """The body that it is in now, once it has come to rest; None when it is over."""
        assert self.task is not None
        async with asyncio.timeout(WITHIN):
            while self.body is None and not self.task.done():
                self.changed.clear()
                await self.changed.wait()
        return self.body

    @property
    def outcome(self) -> Outcome:
        """What became of the job."""
        assert self.task is not None
        return self.task.result()

    async def drop(self) -> None:
        """Cancel it in the middle, as an Oban does that stops."""
        assert self.task is not None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        if self.told is not None and not self.told.done():
            self.told.set_result(How.REST)  # lets a thread end


DELIVERY: ContextVar[Delivery] = ContextVar("delivery")


class Conductor:
    """The resource through which bodies are told what to do."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    async def conduct(self, body: Body) -> How:
        """What an async body comes to."""
        return await DELIVERY.get().perform(body)

    def conduct_thread(self, body: Body) -> How:
        """What a sync body comes to."""
        performing = DELIVERY.get().perform(body)
        return asyncio.run_coroutine_threadsafe(performing, self._loop).result()


async def act(at: StepContext, conductor: Conductor, read: list[str]) -> Answer:
    """A body on the loop."""
    body = Body(at.run_id, at.step, at.attempt, tuple(read))
    answer: Answer = (await conductor.conduct(body)).do()
    return answer


def act_in_thread(at: StepContext, conductor: Conductor, read: list[str]) -> Answer:
    """A body in a thread."""
    body = Body(at.run_id, at.step, at.attempt, tuple(read))
    answer: Answer = conductor.conduct_thread(body).do()
    return answer
