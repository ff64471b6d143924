"""What a body is handed, what it may return, and whatever it may raise."""

import asyncio
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Generator
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple, TypedDict
from uuid import UUID

import pytest
from pydantic import BaseModel, SecretStr

from squid_mesh import (
    Mesh,
    NoPayload,
    Payload,
    Retry,
    RetryLater,
    StepContext,
    StepError,
    Workflow,
    complete,
    context,
    log,
    manual,
    resource,
    step,
    whole,
)
from tests.conformance import conforms
from tests.meshes import Probe, Workflows, ended, history, message_of, on_host, play, step_of

# -- what a body is handed


class Bank(ABC):
    @abstractmethod
    def name(self) -> str: ...


class LocalBank(Bank):
    def name(self) -> str:
        return "local"


class Nowhere:
    pass


class Level(Enum):
    LOW = 1
    HIGH = 2


class Address(BaseModel):
    street: str
    since: date


class Point(NamedTuple):
    x: int
    y: float


class Line(TypedDict):
    sku: str
    price: Decimal


@dataclass(frozen=True)
class Invoice:
    number: int
    total: Decimal
    issued: datetime
    level: Level
    address: Address
    lines: list[Line]
    corners: tuple[Point, ...]
    by_day: dict[date, set[int]]
    parent: UUID | None = None
    grace: timedelta = timedelta(days=2)


INVOICE = Invoice(
    number=2**63,
    total=Decimal("12.340"),
    issued=datetime(2026, 1, 5, 9, 30, 0, 123456, tzinfo=UTC),
    level=Level.HIGH,
    address=Address(street="Straße 1 🦑", since=date(2020, 2, 29)),
    lines=[{"sku": "a", "price": Decimal("0.1")}],
    corners=(Point(1, 2.5), Point(-1, 1e300)),
    by_day={date(2026, 1, 5): {1, 2}, date(2026, 1, 6): set()},
    parent=UUID(int=7),
)


class Bill(Payload):
    invoice: Invoice
    token: SecretStr = SecretStr("hush")
    factor: Decimal = Decimal("1.50")


class Sized(Payload):
    characters: int


async def facts(at: StepContext) -> dict[str, Any]:
    at.logger.info("a body speaks")
    return {
        "run_id": str(at.run_id),
        "workflow": at.workflow,
        "step": at.step,
        "attempt": at.attempt,
        "trigger": at.trigger,
        "window": at.window,
    }


async def ask_bank(bank: Bank) -> str:
    return bank.name()


async def ask_nowhere(nowhere: Nowhere) -> str:
    return str(nowhere)


async def bill(invoice: Invoice, probe: Probe) -> Invoice:
    probe.note(f"as given: {invoice == INVOICE}")
    return invoice


async def parts(total: Decimal, price: Decimal, x: int, street: str, level: Level) -> list[str]:
    return [str(total), str(price), repr(x), street, level.name]


async def whole_payload(bill: Bill) -> str:
    return f"{bill.token.get_secret_value()} {bill.factor}"


class Facts(Workflow[NoPayload]):
    by_day = manual()
    by_night = manual()
    ask = step(facts).takes(context)


class AskBank(Workflow[NoPayload]):
    ask = step(ask_bank).takes(resource(Bank))  # type: ignore[type-abstract]  # a base is a key


class AskLocalBank(Workflow[NoPayload]):
    ask = step(ask_bank).takes(resource(LocalBank))


class AskNowhere(Workflow[NoPayload]):
    ask = step(ask_nowhere, retry=Retry(3)).takes(resource(Nowhere))


class Billing(Workflow[Bill]):
    first = step(bill).takes(Bill.invoice, resource(Probe))
    second = step(bill).takes(first.output, resource(Probe))
    apart = step(parts).takes(
        total=second.output.total,
        price=second.output.lines[0]["price"],
        x=second.output.corners[1].x,
        street=second.output.address.street,
        level=second.output.level,
    )
    all_of_it = step(whole_payload).takes(whole(Bill))


# -- where it runs

here: ContextVar[str] = ContextVar("here", default="nowhere")


@dataclass
class Crowd:
    """Bodies that wait for each other: they only get by when they run at once."""

    barrier: threading.Barrier
    most: int = 0
    inside: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def enter(self) -> None:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)

    def leave(self) -> None:
        with self.lock:
            self.inside -= 1


async def on_loop() -> int:
    return threading.get_ident()


def in_thread() -> int:
    return threading.get_ident()


def meet(crowd: Crowd) -> None:
    crowd.enter()
    crowd.barrier.wait(timeout=10)
    crowd.leave()


def with_context(at: StepContext) -> str:
    return f"{at.step} {threading.current_thread().daemon}"


class Threads(Workflow[NoPayload]):
    on_loop = step(on_loop).takes()
    in_thread = step(in_thread).takes()
    named = step(with_context).takes(context)


class Meet(Workflow[NoPayload]):
    meet = step(meet).takes(resource(Crowd))


async def start_another(context: StepContext, mesh: Mesh) -> UUID:
    run = await mesh.start_run(Rounded, {"hour": 12}, key=context.idempotency_key)
    return run.id


async def greet_the_hour(hour: int) -> str:
    return f"it is {hour}"


class RoundedPayload(Payload):
    hour: int


class Rounded(Workflow[RoundedPayload]):
    greet = step(greet_the_hour).takes(RoundedPayload.hour)


class StartsAnother(Workflow[NoPayload]):
    start = step(start_another).takes(context, resource(Mesh))


# -- what it returns


async def not_a_number() -> float:
    return float("nan")


async def hidden_infinity() -> Any:
    return {"a": [1.0, float("inf")]}


async def nul() -> str:
    return "a\0b"


async def surrogate() -> str:
    return "\ud800"


async def wrong_type() -> int:
    return "seven"  # type: ignore[return-value]  # what the test is about


async def wrong_inside() -> list[Point]:
    return [Point("x", 1.0)]  # type: ignore[arg-type]  # what the test is about


async def an_object() -> Any:
    return object()


async def too_long_a_number() -> Any:
    return 2**64


async def sized(characters: int) -> str:
    return "x" * characters


async def nothing() -> None:
    return None


class Returns(Workflow[NoPayload], name="not_a_number"):
    work = step(not_a_number, retry=Retry(3)).takes()


class Infinity(Workflow[NoPayload]):
    work = step(hidden_infinity, retry=Retry(3)).takes()


class Nul(Workflow[NoPayload]):
    work = step(nul, retry=Retry(3)).takes()


class Surrogate(Workflow[NoPayload]):
    work = step(surrogate, retry=Retry(3)).takes()


class WrongType(Workflow[NoPayload]):
    work = step(wrong_type, retry=Retry(3)).takes()


class WrongInside(Workflow[NoPayload]):
    work = step(wrong_inside, retry=Retry(3)).takes()


class AnObject(Workflow[NoPayload]):
    work = step(an_object, retry=Retry(3)).takes()


class LongNumber(Workflow[NoPayload]):
    work = step(too_long_a_number, retry=Retry(3)).takes()


class Large(Workflow[Sized]):
    work = step(sized).takes(Sized.characters)


class Nothing(Workflow[NoPayload]):
    work = step(nothing).takes()


class RefusedWithRoute(Workflow[NoPayload]):
    work = step(not_a_number).takes()
    rescue = step(on_loop).takes()
    flow = (work >> complete, work.on_error >> rescue >> complete)


# -- what it raises


class Untellable(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


class UntellableForGood(Exception):
    def __str__(self) -> str:
        raise SystemExit(3)


class OfItsOwn(BaseException):
    """No Exception, and none of Python's own."""


class HalfMade(StepError):
    def __init__(self) -> None:
        """Forgets to call its base."""


RAISED: dict[str, BaseException] = {
    "exit": SystemExit(3),
    "interrupt": KeyboardInterrupt("stop"),
    "cancelled": asyncio.CancelledError("by itself"),
    "generator": GeneratorExit(),
    "stop iteration": StopIteration(7),
    "stop async iteration": StopAsyncIteration(),
    "timeout": TimeoutError("a socket's"),
    "untellable": Untellable(),
    "untellable for good": UntellableForGood(),
    "its own": OfItsOwn("odd"),
    "group": ExceptionGroup("many", [ValueError("a"), ValueError("b")]),
    "base group": BaseExceptionGroup("many", [KeyboardInterrupt(), ValueError("b")]),
    "nul": ValueError("a\0b"),
    "surrogate": ValueError("\ud800"),
    "long": ValueError("x" * 10_000_000),
    "code": StepError("odd", code="a\0b"),
    "details": StepError("odd", details={"a": object(), "nan": float("nan"), "nul": "\0"}),
    "half made": HalfMade(),
    "later in text": RetryLater("5 s", "soon"),  # type: ignore[arg-type]  # a plausible mistake
}


@dataclass
class Raises:
    what: str


async def raise_on_loop(raises: Raises) -> None:
    raise RAISED[raises.what]


def raise_in_thread(raises: Raises) -> None:
    raise RAISED[raises.what]


async def raise_next(raises: Raises) -> str:
    return raises.what


class RaiseOnLoop(Workflow[NoPayload]):
    work = step(raise_on_loop).takes(resource(Raises))


class RaiseInThread(Workflow[NoPayload]):
    work = step(raise_in_thread).takes(resource(Raises))


class RaiseInTime(Workflow[NoPayload]):
    """With a timeout, which handles cancellation in its own way."""

    work = step(raise_on_loop, timeout=timedelta(minutes=1)).takes(resource(Raises))


# -- how long it takes


async def forever(probe: Probe) -> None:
    try:
        await probe.hold("held")
    finally:
        probe.note("ended")


@dataclass
class Stuck:
    """Holds a thread until the test lets go of it."""

    gate: threading.Event

    def wait(self) -> None:
        self.gate.wait(timeout=30)


def stuck(stuck: Stuck) -> None:
    stuck.wait()


async def own_timeout() -> None:
    raise TimeoutError("a socket's")


class Forever(Workflow[NoPayload]):
    work = step(forever, timeout=timedelta(seconds=0.05), retry=Retry(2)).takes(resource(Probe))


class StuckThread(Workflow[NoPayload]):
    work = step(stuck, timeout=timedelta(seconds=0.05)).takes(resource(Stuck))


class OwnTimeout(Workflow[NoPayload]):
    work = step(own_timeout, timeout=timedelta(minutes=1)).takes()


class Logged(Workflow[NoPayload]):
    tell = log("100 % sure", level="warning")
    flow = tell >> complete


WORKFLOWS: Workflows = [
    *(Facts, AskBank, AskLocalBank, AskNowhere, Billing, Threads, Meet),
    *(Returns, Infinity, Nul, Surrogate, WrongType, WrongInside, AnObject, LongNumber, Large),
    *(Nothing, RefusedWithRoute, RaiseOnLoop, RaiseInThread, RaiseInTime),
    *(Forever, StuckThread, OwnTimeout, Logged),
]


@pytest.fixture
def raises() -> Raises:
    return Raises("nothing")


@pytest.fixture
def crowd() -> Crowd:
    return Crowd(threading.Barrier(10))


@pytest.fixture
def held_thread() -> Generator[Stuck]:
    held = Stuck(threading.Event())
    yield held
    held.gate.set()


@pytest.fixture
async def mesh(
    dsn: str, probe: Probe, raises: Raises, crowd: Crowd, held_thread: Stuck
) -> AsyncGenerator[Mesh]:
    resources = [probe, raises, crowd, held_thread, LocalBank()]
    async with on_host(dsn, WORKFLOWS, resources=resources) as mesh:
        yield mesh


async def test_the_mesh_that_runs_a_body_is_one_of_its_resources(dsn: str) -> None:
    async with on_host(dsn, [StartsAnother, Rounded]) as mesh:
        run = await play(mesh, StartsAnother)
        started = await ended(mesh, run.output(StartsAnother.start))
        assert started.key == f"{run.id}:start"
        assert started.output(Rounded.greet) == "it is 12"


@conforms("S72", "S183")
async def test_a_context_tells_where_a_body_runs(
    mesh: Mesh, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "squid_mesh.step"):
        run = await mesh.start_run(Facts, trigger="by_night")
        details = await ended(mesh, run.id)

    assert details.output(Facts.ask) == {
        "run_id": str(run.id),
        "workflow": "Facts",
        "step": "ask",
        "attempt": 1,
        "trigger": "by_night",
        "window": None,
    }
    (record,) = (r for r in caplog.records if r.getMessage() == "a body speaks")
    assert vars(record).items() >= {"run_id": str(run.id), "step": "ask", "attempt": 1}.items()


@conforms("S124")
async def test_a_log_step_writes_a_record(mesh: Mesh, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "squid_mesh.step"):
        run = await play(mesh, Logged)

    assert run.status == "completed"
    (record,) = (r for r in caplog.records if r.name == "squid_mesh.step")
    assert (record.getMessage(), record.levelname) == ("100 % sure", "WARNING")
    facts = {"run_id": str(run.id), "workflow": "Logged", "step": "tell"}
    assert vars(record).items() >= facts.items()


@pytest.mark.parametrize("workflow", [AskBank, AskLocalBank])
async def test_a_resource_is_found_by_its_type_or_a_base_of_it(
    mesh: Mesh, workflow: type[Workflow[NoPayload]]
) -> None:
    assert (await play(mesh, workflow)).context == {"ask": "local"}


async def test_a_missing_resource_is_named_and_not_asked_for_again(mesh: Mesh) -> None:
    run = await play(mesh, AskNowhere)
    assert run.status == "failed"
    assert "Nowhere" in message_of(run)
    assert "resources=" in message_of(run)
    assert run.error is not None
    assert run.error.code == "invalid_input"
    assert len(step_of(run, "ask").attempts) == 1


@conforms("S91")
async def test_typed_values_are_rebuilt_from_what_is_stored(mesh: Mesh, probe: Probe) -> None:
    run = await play(mesh, Billing, Bill(invoice=INVOICE))

    assert run.status == "completed", run.error
    assert probe.calls == ["as given: True"] * 2
    assert run.output(Billing.second) == INVOICE
    assert run.output(Billing.apart) == ["12.340", "0.1", "-1", "Straße 1 🦑", "HIGH"]
    assert run.output(Billing.all_of_it) == "hush 1.50"


async def test_sync_bodies_run_in_threads_and_async_ones_on_the_loop(mesh: Mesh) -> None:
    run = await play(mesh, Threads)
    assert run.output(Threads.on_loop) == threading.get_ident()
    assert run.output(Threads.in_thread) != threading.get_ident()
    assert run.output(Threads.named) == "named True"


async def test_sync_bodies_run_side_by_side_up_to_the_queue_s_limit(
    mesh: Mesh, crowd: Crowd
) -> None:
    runs = [await mesh.start_run(Meet) for _ in range(20)]
    assert {(await ended(mesh, run.id)).status for run in runs} == {"completed"}
    assert crowd.most == 10


@conforms("S73")
@pytest.mark.parametrize(
    ("workflow", "told"),
    [
        (Returns, "NaN"),
        (Infinity, "JSON"),
        (Nul, "NUL"),
        (Surrogate, "surrogate"),
        (WrongType, "is no int"),
        (WrongInside, "Point]: "),
        (AnObject, "can't be stored as JSON"),
        (LongNumber, "more than 64 bits"),
    ],
)
async def test_an_output_that_cannot_be_stored_is_refused_and_not_tried_again(
    mesh: Mesh, workflow: type[Workflow[NoPayload]], told: str
) -> None:
    run = await play(mesh, workflow)

    assert run.status == "failed"
    assert told in message_of(run)
    assert run.error is not None
    assert (run.error.code, run.error.retryable) == ("invalid_output", False)
    assert len(step_of(run, "work").attempts) == 1
    assert "test_bodies:" in message_of(run)
    assert not message_of(run).endswith(":")


async def test_an_output_of_a_mebibyte_is_stored_and_a_byte_more_is_not(mesh: Mesh) -> None:
    quotes = 2
    limit = 1024 * 1024 - quotes
    fits = await play(mesh, Large, Sized(characters=limit))
    assert fits.output(Large.work) == "x" * limit

    large = await play(mesh, Large, Sized(characters=limit + 1))
    assert large.status == "failed"
    assert "1,048,577 bytes" in message_of(large)


async def test_a_refused_output_takes_the_error_route(mesh: Mesh) -> None:
    run = await play(mesh, RefusedWithRoute)
    assert run.status == "completed"
    assert step_of(run, "rescue").status == "completed"


async def test_none_is_an_output(mesh: Mesh) -> None:
    run = await play(mesh, Nothing)
    assert run.context == {"work": None}
    assert run.output(Nothing.work) is None


@conforms("S73")
@pytest.mark.parametrize("what", RAISED)
@pytest.mark.parametrize("workflow", [RaiseOnLoop, RaiseInThread, RaiseInTime])
async def test_whatever_a_body_raises_is_its_step_s_error(
    mesh: Mesh, raises: Raises, workflow: type[Workflow[NoPayload]], what: str
) -> None:
    raises.what = what
    run = await mesh.start_run(workflow)
    await mesh.wait_for_run(run.id, timeout=timedelta(seconds=3))
    details = await history(mesh, run.id)

    assert details.status == "failed"
    assert details.error is not None
    assert details.error.type in {type(RAISED[what]).__name__, "RuntimeError"}
    assert details.error.message
    assert len(details.error.message) < 20_000
    assert "\0" not in details.error.message


@pytest.mark.parametrize("what", ["exit", "interrupt", "cancelled"])
async def test_a_process_goes_on_after_a_body_that_wanted_to_end_it(
    mesh: Mesh, raises: Raises, what: str
) -> None:
    raises.what = what
    for workflow in (RaiseOnLoop, RaiseInThread):
        await play(mesh, workflow)
    assert (await play(mesh, Nothing)).status == "completed"


async def test_a_body_that_takes_too_long_is_cancelled_and_tried_again(
    mesh: Mesh, probe: Probe
) -> None:
    run = await play(mesh, Forever)

    assert run.status == "failed"
    assert run.error is not None
    assert (run.error.code, run.error.attempt) == ("timeout", 2)
    assert message_of(run) == "timed out after 0.05 s"
    assert probe.calls == ["held", "ended"] * 2


async def test_a_thread_that_takes_too_long_is_not_waited_for(mesh: Mesh) -> None:
    run = await play(mesh, StuckThread)
    assert run.status == "failed"
    assert run.error is not None
    assert run.error.code == "timeout"


async def test_a_body_s_own_timeout_is_an_error_like_any_other(mesh: Mesh) -> None:
    run = await play(mesh, OwnTimeout)
    assert message_of(run) == "a socket's"
    assert run.error is not None
    assert (run.error.type, run.error.code) == ("TimeoutError", None)
