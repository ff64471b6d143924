"""Payloads, types and step functions that the workflows of these tests are made of."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, NamedTuple, NewType, NotRequired, TypedDict

from psycopg import AsyncConnection, Connection
from pydantic import BaseModel, Field, RootModel, SecretStr
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from squid_mesh import Payload, StepContext, StepFailure, Window


class P(Payload):
    url: str = "https://example.com"
    amount: int = 1
    delay: timedelta = timedelta(minutes=5)
    token: SecretStr = SecretStr("t")


class Required(Payload):
    url: str
    day: str


class Other(Payload):
    url: str = ""


class Narrower(P):
    extra: str = ""


class Bank:
    pass


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Odd(Enum):
    THING = object()


class Person(BaseModel):
    name: str
    hidden: str = Field(default="", exclude=True)

    @property
    def loud(self) -> str:
        return self.name.upper()


class Score(TypedDict):
    value: float
    reason: NotRequired[str]


class Point(NamedTuple):
    x: int
    y: int


@dataclass(frozen=True)
class Page[T]:
    items: list[T]
    first: T


class Names(RootModel[list[str]]):
    pass


class Token(BaseModel):
    token: SecretStr


type Money = Annotated[int, "in cents"]
type Maybe[T] = T | None
UserId = NewType("UserId", int)


@dataclass(frozen=True)
class Account:
    email: str
    owner: Person
    manager: Person | None
    score: Score
    point: Point
    people: Page[Person]
    tags: list[str]
    pair: tuple[int, str]
    limits: Mapping[str, int]
    names: Names
    id: UserId
    budget: Money
    anything: Any
    seen: set[str]
    where: Maybe[Person]

    def shout(self) -> str:
        return self.email.upper()


def nothing() -> None:
    pass


def other() -> None:
    pass


async def fetch(url: str) -> str:
    return url


def say(text: str) -> str:
    return text


def count(n: int) -> int:
    return n


def maybe(text: str | None) -> None:
    pass


def take(value: Any) -> None:
    pass


def two(first: str, second: int = 0) -> None:
    pass


def texts(values: list[str]) -> None:
    pass


def table(values: dict[str, Any]) -> None:
    pass


def account() -> Account:
    raise NotImplementedError


def score(amount: int) -> Literal["low", "high"]:
    return "low" if amount < 100 else "high"


def tricky() -> Literal[1, True]:
    return True


def colour() -> Color:
    return Color.RED


def check() -> bool:
    return True


def maybe_color() -> Maybe[Color]:
    return None


def failed(failure: StepFailure) -> None:
    pass


def with_bank(bank: Bank, url: str) -> str:
    return url


def with_session(session: Session, url: str) -> None:
    pass


class OwnSession(Session):
    pass


def with_own_session(session: OwnSession) -> None:
    pass


async def with_async_session(session: AsyncSession) -> None:
    pass


async def with_both(session: AsyncSession, conn: AsyncConnection[Any]) -> None:
    pass


async def with_async_connection(conn: AsyncConnection[Any]) -> None:
    pass


def with_connection(conn: Annotated[Connection[Any] | None, "by hand"]) -> None:
    pass


async def with_sync_connection(conn: Connection) -> None:
    pass


def with_wrong_connection(conn: AsyncConnection[Any]) -> None:
    pass


async def takes_async(value: Any) -> None:
    pass


def with_context(ctx: StepContext) -> None:
    pass


def with_secret(token: SecretStr) -> None:
    pass


def with_default_client(client: Bank = Bank()) -> None:  # noqa: B008 (as a user would)
    pass


def week(window: Window) -> Required:
    return Required(url="", day=window.date().isoformat())


def other_week(window: Window) -> Other:
    return Other()


def unannotated_week(window):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    return Required(url="", day="")


def bare_week() -> Required:
    return Required(url="", day="")


def no_return(url: str):  # type: ignore[no-untyped-def]  # noqa: ANN201
    return url


def returns_bank() -> Bank:
    return Bank()


def returns_odd() -> Odd:
    return Odd.THING


def generates():  # type: ignore[no-untyped-def]  # noqa: ANN201
    yield 1


def takes_many(*values: str) -> None:
    pass


def takes_names(**values: str) -> None:
    pass


def passed[**A, R](function: Callable[A, R]) -> Callable[A, R]:
    @functools.wraps(function)
    def wrapper(*args: A.args, **kwargs: A.kwargs) -> R:
        return function(*args, **kwargs)

    return wrapper


def bare_decorator[**A, R](function: Callable[A, R]) -> Callable[A, R]:
    def wrapper(*args: A.args, **kwargs: A.kwargs) -> R:
        return function(*args, **kwargs)

    return wrapper


@passed
def decorated(text: str) -> str:
    return text


@passed
async def disguised(text: str) -> str:
    return text


@bare_decorator
def nameless(text: str) -> str:
    return text


class Service:
    @staticmethod
    def static(text: str) -> str:
        return text

    def bound(self, text: str) -> str:
        return text

    def __call__(self, text: str) -> str:
        return text


service = Service()
partial = functools.partial(say, "x")


def replaced(text: str) -> str:
    return text


original, replaced = replaced, say


def takes_many_and_returns(*values: str):  # type: ignore[no-untyped-def]  # noqa: ANN201
    return values
