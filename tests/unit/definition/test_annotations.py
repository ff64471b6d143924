"""What annotations say of values, and where paths lead in stored JSON."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Literal, Optional, TypeVar

import pytest

from squid_mesh.definition import annotations
from squid_mesh.definition.annotations import accepts_none, cases, same, show
from squid_mesh.definition.navigation import NoSuchPath, follow
from squid_mesh.definition.reference import Attribute
from squid_mesh.definition.spec import Path
from tests.unit.definition.steps import (
    Account,
    Color,
    Level,
    Maybe,
    Money,
    Names,
    Page,
    Person,
    Point,
    Score,
    UserId,
)

T = TypeVar("T")
Bound = TypeVar("Bound", bound=Person)


class Mixed(Enum):
    LIST = (1, 2)
    NUMBER = 1.5


type Risk = Literal["low", "high"]
type Either[A, B] = Literal["x"] | A | B
type Swapped[A, B] = Either[B, A]


@pytest.mark.parametrize(
    ("annotation", "values"),
    [
        (Literal["a", 1, True], ("a", 1, True)),
        (Literal[1, True], (1, True)),
        (Risk, ("low", "high")),
        (bool, (True, False)),
        (None, (None,)),
        (Color, ("red", "blue")),
        (Level, (1, 2)),
        (Mixed, ([1, 2], 1.5)),
        (Literal[Color.RED], ("red",)),
        (Optional[Risk], ("low", "high", None)),  # noqa: UP045 (as old code writes it)
        (Maybe[bool], (True, False, None)),
        (Swapped[bool, None], ("x", None, True, False)),
        (str, None),
        (Any, None),
        (Risk | str, None),
        (list[bool], None),
        (T, None),
    ],
)
def test_the_cases_of_a_closed_type(annotation: Any, values: Any) -> None:
    found = cases(annotation)

    assert found == values
    assert list(map(type, found or ())) == list(map(type, values or ()))


@pytest.mark.parametrize(
    ("annotation", "yes"),
    [
        (None, True),
        (type(None), True),
        (str | None, True),
        (Maybe[str], True),
        (Literal["a"] | None, True),
        (Any, True),
        (object, True),
        (T, True),
        (str, False),
        (Literal["a"], False),
        (list[str | None], False),
        (Money, False),
        (Bound, False),
    ],
)
def test_what_accepts_none(annotation: Any, yes: Any) -> None:
    assert accepts_none(annotation) is yes


def test_true_is_not_one() -> None:
    assert same(1, 1)
    assert not same(1, bool(1))
    assert not same(1, 1.0)


@pytest.mark.parametrize(
    ("annotation", "shown"),
    [
        (None, "None"),
        (type(None), "None"),
        (str, "str"),
        (Account, "Account"),
        (Person | None, "Person | None"),
        (Page[Person], "Page[Person]"),
        (Mapping[str, Any], "Mapping[str, Any]"),
        (Literal["a.b"], "Literal['a.b']"),
    ],
)
def test_an_annotation_is_shown_as_written(annotation: Any, shown: str) -> None:
    assert show(annotation) == shown


def attribute(name: str) -> Attribute:
    return Attribute(name)


@pytest.mark.parametrize(
    ("annotation", "path", "leads_to", "stored"),
    [
        (Account, (), Account, ()),
        (Account, (attribute("email"),), str, ("email",)),
        (Account, (attribute("owner"), attribute("name")), str, ("owner", "name")),
        (Account, (attribute("manager"),), Person | None, ("manager",)),
        (Account, (attribute("score"), "value"), float, ("score", "value")),
        (Account, (attribute("point"), attribute("y")), int, ("point", 1)),
        (Point, (0,), int, (0,)),
        (Page[Person], (attribute("first"), attribute("name")), str, ("first", "name")),
        (Page[Person], (attribute("items"), 3), Person, ("items", 3)),
        (Page, (attribute("first"), attribute("any")), Any, ("first", "any")),
        (Account, (attribute("people"), attribute("first")), Person, ("people", "first")),
        (tuple[int, str], (1,), str, (1,)),
        (tuple[int, ...], (9,), int, (9,)),
        (tuple, (9,), Any, (9,)),
        (list, (0, "x"), Any, (0, "x")),
        (Sequence[int], (0,), int, (0,)),
        (dict, ("x",), Any, ("x",)),
        (Mapping[str, int], ("x",), int, ("x",)),
        (Names, (attribute("root"), 0), str, (0,)),
        (Any, (attribute("x"), 0, "y"), Any, ("x", 0, "y")),
        (Bound, (attribute("name"),), str, ("name",)),
        (Maybe[Person], (), Maybe[Person], ()),
        (UserId, (), UserId, ()),
    ],
)
def test_a_path_leads_to_a_type_and_a_place_in_json(
    annotation: Any, path: Path, leads_to: Any, stored: Path
) -> None:
    found, place = follow(annotation, path)

    assert found == leads_to
    assert place == stored
    assert all(type(segment) in {str, int} for segment in place)


@pytest.mark.parametrize("annotation", [Literal["a"], Color, None, Score])
def test_a_path_does_not_lead_into_these(annotation: Any) -> None:
    with pytest.raises(NoSuchPath):
        follow(annotation, (attribute("x"),))


def test_fields_are_those_of_classes_with_names() -> None:
    assert annotations.fields(Literal["a"]) is None
    assert annotations.fields(dict[str, int]) is None
    assert annotations.fields(Score) == annotations.Fields(
        {"value": float, "reason": annotations.fields(Score).types["reason"]},  # type: ignore[union-attr]
        by_key=True,
        absent=frozenset({"reason"}),
    )
