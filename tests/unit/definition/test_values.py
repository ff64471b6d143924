"""Values on their way to JSON and back."""

import math
import re
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    Secret,
    SecretBytes,
    SecretStr,
    ValidationError,
    model_serializer,
)

from squid_mesh.definition.values import (
    MAX_BYTES,
    Codec,
    MissingPath,
    Unreadable,
    Unstorable,
    resolve,
    storable,
    told,
)
from tests.conformance import conforms


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Point(NamedTuple):
    x: int
    y: int = 0


class Score(TypedDict):
    value: float
    reason: NotRequired[str]


@dataclass(frozen=True)
class Account:
    id: uuid.UUID
    opened: date
    balance: Decimal
    color: Color
    tags: frozenset[str] = frozenset()
    place: Point | None = None
    made: datetime = field(default=datetime(2026, 1, 1, tzinfo=UTC))


class Aliased(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    web_hook: str = Field(alias="webHook")


class Login(BaseModel):
    user: str
    password: SecretStr
    tags: set[str] = set()


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9)
floats = st.floats(allow_nan=False, allow_infinity=False)
integers = st.integers(-(2**63), 2**64 - 1)
points = st.builds(Point, integers, integers)
accounts = st.builds(
    Account,
    st.uuids(),
    st.dates(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.sampled_from(Color),
    st.frozensets(texts, max_size=3),
    st.none() | points,
    st.datetimes(timezones=st.just(UTC)),
)
scores: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {"value": floats}, optional={"reason": texts}
)
json_values = st.recursive(
    st.none() | st.booleans() | integers | floats | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)

TYPED: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (Any, json_values),
    (None, st.none()),
    (str, texts),
    (int, integers),
    (float, floats),
    (float | None, floats | st.none()),
    (bool, st.booleans()),
    (date, st.dates()),
    (datetime, st.datetimes(timezones=st.just(UTC))),
    (time, st.times()),
    (timedelta, st.timedeltas()),
    (Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    (uuid.UUID, st.uuids()),
    (Color, st.sampled_from(Color)),
    (Level, st.sampled_from(Level)),
    (Literal["a", 1], st.sampled_from(["a", 1])),
    (bytes, texts.map(str.encode)),
    (tuple[int, str], st.tuples(integers, texts)),
    (tuple[int, ...], st.lists(integers, max_size=3).map(tuple)),
    (set[str], st.sets(texts, max_size=3)),
    (frozenset[date], st.frozensets(st.dates(), max_size=3)),
    (list[Color], st.lists(st.sampled_from(Color), max_size=3)),
    (dict[str, date], st.dictionaries(texts, st.dates(), max_size=3)),
    (dict[int, str], st.dictionaries(integers, texts, max_size=3)),
    (dict[str, Any], st.dictionaries(texts, json_values, max_size=3)),
    (Point, points),
    (Score, scores),
    (Account, accounts),
    (list[Account], st.lists(accounts, max_size=2)),
    (Aliased, texts.map(lambda text: Aliased(webHook=text))),
    (Login, st.builds(Login, user=texts, password=texts.map(SecretStr), tags=st.sets(texts))),
    (deque[int], st.lists(integers, max_size=3).map(deque)),
]


@conforms("S91")
@pytest.mark.parametrize(("annotation", "values"), TYPED, ids=lambda case: str(case)[:30])
def test_a_typed_value_comes_back_as_it_was(
    annotation: Any, values: st.SearchStrategy[Any]
) -> None:
    codec = Codec(annotation)

    @given(values)
    def comes_back(value: Any) -> None:
        stored = codec.dump(value)
        assert codec.load_json(stored) == value
        assert codec.load(orjson.loads(stored)) == value
        assert type(codec.load_json(stored)) is type(value)

    comes_back()


@pytest.mark.parametrize("annotation", [Any, list[Any], dict[str, Any]])
def test_a_loaded_value_is_nobody_else_s(annotation: Any) -> None:
    stored: Any = {"a": [1]} if annotation != list[Any] else [[1]]
    loaded = Codec(annotation).load(stored)
    assert loaded == stored
    loaded.clear()
    assert stored


REFUSED: list[tuple[Any, Any, str]] = [
    (str, "a\0b", "holds a NUL character, which Postgres can't store"),
    (dict[str, str], {"\0": ""}, "holds a NUL character"),
    (Any, [1, {"a": ["\0"]}], "holds a NUL character"),
    (str, "\ud800", "can't be stored as JSON: "),
    (Any, "\ud800", "can't be stored as JSON: "),
    (dict[str, int], {"\ud800": 1}, "holds a lone surrogate in a key, which JSON can't hold"),
    (list[dict[str, dict[str, int]]], [{"a": {"\udfff": 1}}], "holds a lone surrogate in a key"),
    (float, math.nan, "holds NaN or an infinity, which JSON can't hold"),
    (float | None, math.inf, "holds NaN or an infinity"),
    (dict[str, Any], {"a": [1.0, math.nan]}, "holds NaN or an infinity"),
    (set[float], {math.nan}, "holds NaN or an infinity"),
    (Any, {"a": -math.inf}, "can't be stored as JSON: "),
    (Decimal, Decimal("NaN"), "is no Decimal: Input should be a finite number"),
    (int, 2**64, "holds an integer of more than 64 bits: return it as text"),
    (Any, [-(2**63) - 1], "holds an integer of more than 64 bits"),
    (
        str,
        "x" * MAX_BYTES,
        "is 1,048,578 bytes of JSON, the limit is 1,048,576: store it elsewhere",
    ),
    (Any, object(), "can't be stored as JSON: Unable to serialize unknown type: <class 'object'>"),
    (dict[str, Any], {"a": object()}, "can't be stored as JSON: Unable to serialize unknown type"),
    (bytes, b"\xff", "can't be stored as JSON: "),
    (int, "3", "is no int: expected int"),
    (str, None, "is no str: Input should be a valid string"),
    (Account, {"id": 3}, "is no Account: expected Account"),
    (Point, (1,), "is no Point: it has too few or too many parts"),
    (Point, 5, "is no Point: expected Point"),
    (Literal["a"], "b", "is no Literal['a']: Input should be 'a'"),
    (set[str], ["a"], "is no set[str]: expected set[str]"),
    (Annotated[int, Field(gt=0)], -1, "Input should be greater than 0"),
    (
        dict[str, Any],
        {"password": SecretStr("hunter2")},
        "a secret that its annotation doesn't tell",
    ),
    (Any, SecretStr("hunter2"), "a secret that its annotation doesn't tell: write SecretStr"),
    (Secret[int], Secret(3), "a secret that its annotation doesn't tell: write SecretStr"),
    (
        SecretBytes,
        SecretBytes(b"\xff"),
        "holds a secret in a form that can't be stored: use SecretStr",
    ),
    (set[SecretStr | str], {SecretStr("a"), "b"}, "holds a secret in a form that can't be stored"),
]


def shortly(case: Any) -> str:
    """A case's name, the same in every process: without addresses and the order of sets."""
    if isinstance(case, set):
        return "a set"
    return re.sub(r" at 0x[0-9a-f]+", "", str(case))[:30]


@pytest.mark.parametrize(("annotation", "value", "why"), REFUSED, ids=shortly)
def test_what_json_or_postgres_cannot_hold_is_refused(
    annotation: Any, value: Any, why: str
) -> None:
    with pytest.raises(Unstorable) as refused:
        Codec(annotation).dump(value)

    assert why in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_field_of_the_wrong_type_is_told_by_its_name_without_the_value() -> None:
    wrong = Login.model_construct(user=3, password=SecretStr("hunter2"), tags=set())  # pyright: ignore[reportArgumentType]  # the mistake itself

    with pytest.raises(Unstorable, match=r"^is no Login: user: expected str$"):
        Codec(Login).dump(wrong)


def test_an_integer_of_64_bits_is_stored() -> None:
    assert Codec(int).dump(2**64 - 1) == b"18446744073709551615"
    assert Codec(Any).dump(["1234567890123456789012345"]) == b'["1234567890123456789012345"]'


def test_a_null_that_is_no_number_is_stored() -> None:
    assert Codec(float | None).dump(None) == b"null"
    assert Codec(Any).dump({"a": [None, 1.5, "x", b"y"]}) == b'{"a":[null,1.5,"x","y"]}'


def test_a_replacement_character_is_one_like_any_other() -> None:
    value = {"\N{REPLACEMENT CHARACTER}": {"a": ["\N{REPLACEMENT CHARACTER}"]}}

    assert orjson.loads(Codec(dict[str, Any]).dump(value)) == value


def test_an_escaped_backslash_is_no_nul() -> None:
    assert Codec(str).dump("\\u0000") == b'"\\\\u0000"'


class Nested(BaseModel):
    logins: list[Login]
    by_name: dict[str, tuple[SecretStr, int]]
    loose: set[SecretStr] = set()
    raw: SecretBytes = SecretBytes(b"")


def test_secrets_are_stored_revealed() -> None:
    value = Nested(
        logins=[Login(user="ann", password=SecretStr("one"), tags={"a", "b"})],
        by_name={"x": (SecretStr("two"), 2)},
        loose={SecretStr("three")},
        raw=SecretBytes(b"four"),
    )
    codec = Codec(Nested)

    stored = orjson.loads(codec.dump(value))

    assert stored["logins"][0]["password"] == "one"  # noqa: S105 (a password in a test)
    assert sorted(stored["logins"][0]["tags"]) == ["a", "b"]
    assert stored["by_name"] == {"x": ["two", 2]}
    assert stored["loose"] == ["three"]
    assert stored["raw"] == "four"
    assert codec.load(stored) == value


def test_a_type_with_secrets_says_so() -> None:
    assert Codec(Nested).secret
    assert Codec(SecretStr | None).secret
    assert Codec(Annotated[str, Field(json_schema_extra={"writeOnly": True})]).secret
    assert not Codec(Account).secret


def test_a_stored_value_is_shown_without_its_secrets() -> None:
    stored = {"user": "ann", "password": "hunter2", "tags": ["a"]}

    assert Codec(Login).masked(stored) == stored | {"password": "**********"}
    assert Codec(Account | None).masked(None) is None
    assert Codec(dict[str, Any]).masked(stored) == stored
    with pytest.raises(Unreadable):
        Codec(Login).masked({})


def test_asterisks_are_text_like_any_other() -> None:
    login = Login(user="**********", password=SecretStr(""))

    assert orjson.loads(Codec(Login).dump(login))["user"] == "**********"
    assert Codec(str).dump("**********") == b'"**********"'


class Shrinks(BaseModel):
    password: SecretStr
    other: SecretStr

    @model_serializer(when_used="json")
    def as_json(self) -> dict[str, Any]:
        return {"password": self.password}


def test_a_secret_behind_a_serializer_of_its_own_is_refused() -> None:
    value = Shrinks(password=SecretStr("hunter2"), other=SecretStr("x"))

    with pytest.raises(Unstorable, match="holds a secret that its annotation doesn't tell"):
        Codec(Shrinks).dump(value)


def test_names_are_stored_not_aliases() -> None:
    codec = Codec(Aliased)

    assert codec.dump(Aliased(webHook="x")) == b'{"web_hook":"x"}'
    assert codec.load({"webHook": "x"}) == codec.load({"web_hook": "x"})
    assert Codec(Any).dump(Aliased(webHook="x")) == b'{"web_hook":"x"}'


def test_a_value_that_would_not_come_back_is_refused() -> None:
    odd = Annotated[int, PlainSerializer(lambda n: f"number {n}", return_type=str)]

    with pytest.raises(Unstorable, match="Input should be a valid integer"):
        Codec(odd).dump(3)


@pytest.mark.parametrize(
    ("annotation", "value", "why"),
    [
        (int, "3", "is no int: Input should be a valid integer"),
        (Account, {}, "is no Account: id: Field required; opened: Field required"),
        (Color, "green", "is no Color: Input should be 'red' or 'blue'"),
        (
            Login,
            {"user": "ann", "password": 12345},
            "is no Login: password: Input should be a valid s",
        ),
    ],
)
def test_stored_values_that_no_longer_fit_are_told(annotation: Any, value: Any, why: str) -> None:
    with pytest.raises(Unreadable) as told_why:
        Codec(annotation).load(value)

    assert why in str(told_why.value)
    assert "12345" not in str(told_why.value)


def test_a_stored_value_of_a_plain_type_is_itself() -> None:
    assert Codec(str).load("x") == "x"
    assert Codec(float).load(1) == 1.0
    assert Codec(bool).load(orjson.loads("true")) is True
    with pytest.raises(Unreadable):
        Codec(int).load(orjson.loads("true"))


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


def test_no_sentence_repeats_the_tag_of_a_union() -> None:
    with pytest.raises(ValidationError) as invalid:
        Codec(Annotated[Cat | Dog, Field(discriminator="kind")]).load_json(b'{"kind":"hunter2"}')

    assert told(invalid.value) == "Input should have one of the expected tags"


@pytest.mark.parametrize(
    "annotation",
    [object(), Callable[[], int], "Nowhere", list["Nowhere"], deque[type]],  # type: ignore[name-defined]  # noqa: F821
)
def test_a_type_that_json_cannot_hold_says_why(annotation: Any) -> None:
    why = Codec(annotation).check()

    assert why is not None
    assert "is nothing that JSON can hold (" in why


def test_a_type_that_json_can_hold_says_nothing() -> None:
    assert Codec(Account).check() is None


class TestDigest:
    def test_is_the_same_for_what_reads_and_writes_the_same(self) -> None:
        class Plain(BaseModel):
            title: str
            default: int = 1

        class Told(BaseModel):
            """With prose, another default, another order and another name."""

            default: int = Field(2, description="…")
            title: str = Field(title="The title", examples=["x"])

        assert Codec(Plain).digest == Codec(Told).digest
        assert Codec(list[Plain]).digest == Codec(list[Told]).digest

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (int, str),
            (int, int | None),
            (Literal["a"], Literal["b"]),
            (list[int], list[str]),
            (Cat, Dog),
            (Point, Score),
            (dict[str, int], dict[str, str]),
            (Annotated[int, Field(gt=0)], int),
        ],
    )
    def test_differs_for_what_differs(self, one: Any, other: Any) -> None:
        assert Codec(one).digest != Codec(other).digest

    def test_tells_required_fields_from_others(self) -> None:
        class Required(BaseModel):
            title: str

        class Optional(BaseModel):
            title: str = ""

        assert Codec(Required).digest != Codec(Optional).digest

    def test_knows_types_that_hold_themselves(self) -> None:
        assert Codec(Tree).digest == Codec(Bush).digest
        assert Codec(Tree).digest != Codec(Leafy).digest


class Tree(BaseModel):
    children: list["Tree"] = []


class Bush(BaseModel):
    children: list["Bush"] = []


class Leafy(BaseModel):
    children: list["Tree"] = []
    leaves: int = 0


@pytest.mark.parametrize(
    ("path", "found"),
    [((), {"a": [{"b": 1}]}), (("a",), [{"b": 1}]), (("a", 0, "b"), 1)],
)
def test_a_path_is_followed_on_json(path: tuple[str | int, ...], found: Any) -> None:
    assert resolve({"a": [{"b": 1}]}, path) == found


@pytest.mark.parametrize(
    ("value", "path", "missing"),
    [
        ({"a": {}}, ("a", "b", "c"), "a.b is not in the stored value"),
        ({"a": [1]}, ("a", 1), "a.1 is not in the stored value"),
        ({"a": [1]}, ("a", -1), "a.-1 is not in the stored value"),
        ({"a": "text"}, ("a", 0), "a.0 is not in the stored value"),
        ({"a": [1]}, ("a", "0"), "a.0 is not in the stored value"),
        (None, ("a",), "a is not in the stored value"),
    ],
)
def test_the_first_missing_part_is_told(value: Any, path: Any, missing: str) -> None:
    with pytest.raises(MissingPath, match=missing):
        resolve(value, path)


def test_text_that_is_no_json_is_not_storable() -> None:
    with pytest.raises(Unstorable, match="can't be stored as JSON"):
        storable(b"{")


def test_a_limit_can_be_lower() -> None:
    with pytest.raises(Unstorable, match="is 5 bytes of JSON, the limit is 4"):
        storable(b'"abc"', limit=4)


def test_a_mapping_is_stored_like_a_dict() -> None:
    assert Codec(Mapping[str, int]).dump({"a": 1}) == b'{"a":1}'
