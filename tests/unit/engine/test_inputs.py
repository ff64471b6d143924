import pytest

from squid_mesh.definition.spec import (
    Constant,
    DictOf,
    Injected,
    Json,
    ListOf,
    Origin,
    Reference,
    Wire,
)
from squid_mesh.definition.values import MissingPath
from squid_mesh.engine.inputs import InvalidInput, Stored, read, stored_inputs
from tests.conformance import conforms
from tests.unit.engine.graphs import action

STORED = Stored(
    payload={"url": "https://example.org", "tags": ["a", "b"], "nothing": None},
    outputs={
        "fetch": {"items": [{"title": "One"}, {"title": "Two"}], "0": "text"},
        "count": 0,
        "maybe": None,
    },
    errors={"post": {"message": "429", "details": {"after": 3}}},
)


def payload(*path: str | int, optional: bool = False) -> Reference:
    return Reference(Origin.PAYLOAD, None, path, optional)


def output(step: str, *path: str | int, optional: bool = False) -> Reference:
    return Reference(Origin.OUTPUT, step, path, optional)


def error(step: str, *path: str | int, optional: bool = False) -> Reference:
    return Reference(Origin.ERROR, step, path, optional)


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        (payload(), STORED.payload),
        (payload("url"), "https://example.org"),
        (payload("tags", 1), "b"),
        (payload("nothing"), None),
        (payload("url", optional=True), "https://example.org"),
        (output("fetch", "items", 0, "title"), "One"),
        (output("fetch", "0"), "text"),
        (output("count"), 0),
        (output("maybe"), None),
        (output("count", optional=True), 0),
        (error("post", "details", "after"), 3),
        (error("post", optional=True), STORED.errors["post"]),
        (Constant({"a": [1, None]}), {"a": [1, None]}),
        (Constant(None), None),
        (ListOf(()), []),
        (ListOf((output("count"), Constant("x"))), [0, "x"]),
        (DictOf({"n": output("count"), "deep": ListOf((payload("url"),))}),
         {"n": 0, "deep": ["https://example.org"]}),
    ],
)  # fmt: skip
def test_a_wire_leads_to_the_value_that_is_stored(wire: Wire, value: Json) -> None:
    assert read(wire, STORED) == value


@pytest.mark.parametrize(
    "wire",
    [
        output("skipped", optional=True),
        output("skipped", "deep", 3, optional=True),
        error("fetch", optional=True),
    ],
)
def test_an_optional_wire_to_a_step_that_left_nothing_is_none(wire: Reference) -> None:
    assert read(wire, STORED) is None


def test_an_optional_wire_in_a_list_leaves_its_place_empty() -> None:
    assert read(ListOf((output("skipped", optional=True), output("count"))), STORED) == [None, 0]


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        (output("skipped"), "skipped.output has not been produced"),
        (output("skipped", "deep"), "skipped.output.deep has not been produced"),
        (output("post"), "post.output has not been produced"),
        (error("fetch"), "fetch.error has not been produced"),
        (payload("nope"), "payload.nope: nope is not in the stored value"),
        (payload("nope", optional=True), "payload.nope: nope is not in the stored value"),
        (output("fetch", "items", 2, "title"),
         "fetch.output.items.2.title: items.2 is not in the stored value"),
        (output("maybe", "x", optional=True), "maybe.output.x: x is not in the stored value"),
        (ListOf((Constant(1), DictOf({"a": output("skipped")}))),
         "skipped.output has not been produced"),
        (Injected("context"), "context is injected, not stored"),
    ],
)  # fmt: skip
def test_a_wire_to_what_is_not_stored_is_named(wire: Wire, message: str) -> None:
    with pytest.raises(MissingPath) as caught:
        read(wire, STORED)
    assert str(caught.value) == message


@conforms("S87")
def test_a_step_is_handed_all_its_inputs_but_those_that_are_injected() -> None:
    step = action(
        "post",
        inputs={
            "context": Injected("context"),
            "url": payload("url"),
            "client": Injected("resource", "httpx:AsyncClient"),
            "count": output("count"),
        },
    )
    assert stored_inputs(step, STORED) == {"url": "https://example.org", "count": 0}


def test_a_step_without_inputs_is_handed_none() -> None:
    assert stored_inputs(action("post"), STORED) == {}


@conforms("S87")
def test_all_inputs_that_are_missing_are_told_at_once() -> None:
    step = action("post", inputs={"a": output("gone"), "b": output("count"), "c": payload("nope")})
    with pytest.raises(InvalidInput) as caught:
        stored_inputs(step, STORED)
    assert str(caught.value) == (
        "input 'a': gone.output has not been produced; "
        "input 'c': payload.nope: nope is not in the stored value"
    )
