"""Values that nobody should pass, and calls of a mesh with some of them among good ones."""

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

import squid_mesh
from squid_mesh import NoPayload, Payload, SquidMeshError, Workflow, cron, log, step

PACKAGE = Path(squid_mesh.__file__).parent


class Undeclared(Workflow[NoPayload]):
    work = log("nobody was given this one")


class Other(Payload):
    other: int = 1


def _deep(levels: int) -> Any:
    """Nested lists: JSON of so many levels."""
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


def _circular_list() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


def _circular_dict() -> Any:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


class Quiet:
    """An object of a host's own."""

    def __repr__(self) -> str:
        return "Quiet()"


ODD: dict[str, Any] = {
    "a NUL": "a\0b",
    "a lone surrogate": "\ud800",
    "empty": "",
    "blank": " \n",
    "long": "x" * 300,
    "huge": "x" * 1_200_000,
    "emoji": "🦑",
    "a UUID": UUID(int=7),
    "its text": str(UUID(int=7)),
    "a class": Quiet,
    "an object": Quiet(),
    "a workflow": Undeclared,
    "the base of workflows": Workflow,
    "a payload": Other(),
    "a payload class": Other,
    "the base of payloads": Payload,
    "a forged payload": Other.model_construct(other="\ud800"),
    "a step": step(_deep).takes(1),
    "a trigger": cron("0 0 * * *", timezone="Etc/UTC"),
    "an error": ValueError("no"),
    "an error class": ValueError,
    "a function": _deep,
    "a list": [],
    "a tuple": (),
    "a set": {1},
    "a frozenset": frozenset({"completed"}),
    "a dict": {},
    "a view of a dict": MappingProxyType({"a": 1}),
    "a list of NUL": ["\0"],
    "NUL in a dict": {"a": {"b": "\0"}},
    "NUL as a key": {"\0": 1},
    "a surrogate in a dict": {"a": ["\udfff"]},
    "a surrogate as a key": {"\ud800": 1},
    "a number as a key": {1: 2},
    "an object as a key": {Quiet(): 1},
    "an object in a dict": {"a": Quiet()},
    "NaN in a dict": {"a": [float("nan")]},
    "a long number in a dict": {"a": 2**80},
    "a huge dict": {"a": "x" * 1_200_000},
    "a circle of lists": _circular_list(),
    "a circle of dicts": {"a": _circular_dict()},
    "deep": {"a": _deep(200)},
    "very deep": {"a": _deep(5000)},
    "NaN": float("nan"),
    "infinite": float("inf"),
    "a decimal": Decimal("NaN"),
    "a date": date(2026, 1, 5),
    "a moment": datetime(2026, 1, 5, tzinfo=UTC),
    "a naive moment": datetime(2026, 1, 5),  # noqa: DTZ001  # as a caller might
    "no time": timedelta(0),
    "less than no time": timedelta(days=-1),
    "bytes": b"\xff",
    "a slice": slice(1),
    "an ellipsis": ...,
}


def odd(name: str) -> Any:
    """The odd value of that name."""
    return ODD[name]


JUNK: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(sorted(ODD)).map(odd),
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**31, 2**63, -(2**63) - 1, 2**100]),
    st.floats(),
    st.text(max_size=20),
    st.text(st.characters(categories=["Cs", "Cc", "Lu"]), max_size=5),
    st.binary(max_size=20),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
        ),
        max_leaves=6,
    ),
)


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a mesh: its method and its arguments by name."""

    method: str
    arguments: Mapping[str, Any]

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={_short(value)}" for name, value in self.arguments.items())
        return f"{self.method}({told})"


def _short(value: Any) -> str:
    try:
        shown = repr(value)
    except RecursionError:
        return "<too deep>"
    return shown if len(shown) < 100 else f"{shown[:100]}…"


@st.composite
def calls(draw: st.DrawFn, good: Mapping[str, Mapping[str, st.SearchStrategy[Any]]]) -> Call:
    """A call of one of these methods, of whose arguments one or two are junk."""
    method = draw(st.sampled_from(sorted(good)))
    wrong = draw(st.sets(st.sampled_from(sorted(good[method])), min_size=1, max_size=2))
    return Call(
        method,
        {
            name: draw(JUNK if name in wrong else strategy)
            for name, strategy in good[method].items()
        },
    )


def is_documented(error: BaseException) -> bool:
    """Whether an error is one that a call may raise, said by ourselves and not by accident."""
    if isinstance(error, SquidMeshError):
        return True
    last = traceback.extract_tb(error.__traceback__)[-1]
    ours = Path(last.filename).is_relative_to(PACKAGE) and (last.line or "").startswith("raise ")
    return ours and type(error) in {ValueError, TypeError}
