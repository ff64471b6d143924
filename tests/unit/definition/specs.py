"""Specs made without a class body: by hand, and at random."""

from typing import Any

from hypothesis import strategies as st

from squid_mesh.definition.spec import (
    ActionSpec,
    BackoffSpec,
    Constant,
    DictOf,
    EdgeSpec,
    Exit,
    FieldSpec,
    Injected,
    ListOf,
    Origin,
    ParameterSpec,
    PayloadSpec,
    Reference,
    RetrySpec,
    StepKind,
    StepSpec,
    TriggerSpec,
    Wire,
    WorkflowSpec,
)


def action(name: str, *after: str, inputs: dict[str, Wire] | None = None, **rest: Any) -> StepSpec:
    """A step that calls a function which takes just these inputs."""
    wires = inputs or {}
    parameters = tuple(ParameterSpec(key, required=True) for key in wires)
    called = rest.pop("action", ActionSpec(f"steps:{name}", parameters))
    return StepSpec(name, StepKind.ACTION, name, called, wires, after, **rest)


def workflow(
    *steps: StepSpec, edges: tuple[EdgeSpec, ...] | None = None, **rest: Any
) -> WorkflowSpec:
    """A workflow of these steps: with a flow if there are edges."""
    options: dict[str, Any] = {
        "name": "W",
        "flow": edges is not None,
        "triggers": (TriggerSpec("manual", "manual"),),
        "payload": PayloadSpec("steps:P", (FieldSpec("url", required=False, schema="0"),)),
        "edges": edges or (),
    }
    return WorkflowSpec(steps=steps, **(options | rest))


def edge(step: str, to: str, on: Exit = Exit.OK, value: Any = None) -> EdgeSpec:
    """A transition."""
    return EdgeSpec(step, on, to, value)


def output(step: str, *path: str | int, optional: bool = False) -> Reference:
    """A reference to a step's output."""
    return Reference(Origin.OUTPUT, step, path, optional)


# Anything of the right types: most of it breaks rules, all of it is of the format.

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
names = st.sampled_from(["a", "b", "c", "complete", "é", ""])
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
seconds = st.floats(0, 1e9) | st.none()
paths = st.lists(texts | st.integers(0, 9), max_size=3).map(tuple)
references = st.builds(Reference, st.sampled_from(Origin), st.none() | names, paths, st.booleans())
injected = st.builds(
    Injected, st.sampled_from(["context", "resource", "connection", "session"]), st.none() | texts
)
wires: st.SearchStrategy[Wire] = st.recursive(
    references | injected | st.builds(Constant, json_values),
    lambda inner: (
        st.builds(ListOf, st.lists(inner, max_size=3).map(tuple))
        | st.builds(DictOf, st.dictionaries(texts, inner, max_size=3))
    ),
    max_leaves=4,
)
actions = st.builds(
    ActionSpec,
    st.sampled_from(["steps:a", "steps:b"]),
    st.lists(st.builds(ParameterSpec, texts, st.booleans(), st.none() | texts), max_size=2).map(
        tuple
    ),
    st.none() | texts,
    st.none() | st.lists(json_values, max_size=3).map(tuple),
    st.booleans(),
)
retries = st.builds(
    RetrySpec,
    st.integers(0, 9),
    st.none() | st.builds(BackoffSpec, st.floats(0, 9), st.floats(0, 9)),
    st.booleans(),
    st.lists(texts, max_size=2).map(tuple),
)
steps = st.builds(
    StepSpec,
    name=names,
    kind=st.sampled_from(StepKind),
    output=texts,
    action=st.none() | actions,
    inputs=st.dictionaries(texts, wires, max_size=3),
    after=st.lists(names, max_size=2).map(tuple),
    retry=st.none() | retries,
    timeout=seconds,
    queue=st.none() | texts,
    on_interrupt=st.sampled_from(["retry", "pause", "fail"]),
    formerly=st.lists(texts, max_size=2).map(tuple),
    message=st.none() | texts,
    level=st.none() | st.sampled_from(["debug", "info", "warning", "error"]),
    duration=st.none() | wires,
    deadline=st.none() | wires,
)
edges = st.builds(EdgeSpec, names, st.sampled_from(Exit), names, json_values)
triggers = st.builds(
    TriggerSpec,
    texts,
    st.sampled_from(["manual", "cron"]),
    st.none() | texts,
    st.none() | texts,
    st.none() | texts,
    st.none() | st.sampled_from(["skip", "latest", "all"]),
    st.none() | st.integers(0, 9),
)
fields = st.builds(FieldSpec, texts, st.booleans(), texts, st.booleans())
workflows = st.builds(
    WorkflowSpec,
    name=texts,
    flow=st.booleans(),
    triggers=st.lists(triggers, max_size=2).map(tuple),
    payload=st.builds(PayloadSpec, texts, st.lists(fields, max_size=2).map(tuple)),
    steps=st.lists(steps, max_size=3).map(tuple),
    edges=st.lists(edges, max_size=3).map(tuple),
)
