"""The rules of a definition: for each the smallest workflow that breaks it, and what is told."""

import re
from pathlib import Path

import pytest

from squid_mesh import WorkflowDefinitionError
from tests.conformance import conforms, ruled
from tests.unit.definition import bodies
from tests.unit.definition.bodies import Case
from tests.unit.definition.cases import CASES

IMPERATIVE = re.compile(
    r"\b(write|declare|give|call|move|make|remove|rename|wire|import|use|leave|let|lead|add|end|"
    r"assign|take|pass|annotate|return|name|compute|set)\b"
)


@pytest.mark.parametrize("case", [ruled(case.rule, case) for case in CASES])
def test_a_broken_rule_is_told_on_its_line(case: Case, tmp_path: Path) -> None:
    told = bodies.problems(case.text, tmp_path)

    assert [case.message in problem.message for problem in told] == [True], told
    lines = [problem.source.line for problem in told if problem.source]
    assert lines == bodies.marked(case.text), told
    assert IMPERATIVE.search(told[0].message), "says what to write instead"


@conforms("S5", "S34")
def test_all_problems_are_told_at_once_in_the_order_of_their_lines(tmp_path: Path) -> None:
    text = """
class W(Workflow[P]):
    hourly = cron("61 * * * *", timezone="Nowhere")  # <- here
    a = step(fetch, timeout=3).takes()  # <- here
    b = step(say).takes(Other.url)  # <- here
    c = step(lambda: None).takes()  # <- here
    d = log("")  # <- here
    flow = (
        a >> b >> c >> d >> complete,
        a >> complete,  # <- here
    )
"""
    told = bodies.problems(text, tmp_path)

    lines = [problem.source.line for problem in told if problem.source]
    assert lines == sorted(lines)
    assert sorted(set(lines)) == bodies.marked(text)
    assert len(told) == 8


@conforms("S5")
def test_the_error_lists_every_problem_with_file_and_line(tmp_path: Path) -> None:
    text = """
class W(Workflow[P]):
    a = log("")
    b = wait(timedelta(0))
"""
    with pytest.raises(WorkflowDefinitionError) as raised:
        bodies.module(text, tmp_path)

    first, *rest = str(raised.value).splitlines()
    assert first == "workflow validation failed: W"
    assert [line.split(": ")[0] for line in rest] == [
        f"  - {tmp_path}/declared.py:{bodies.line_of('a = log', text)}",
        f"  - {tmp_path}/declared.py:{bodies.line_of('b = wait', text)}",
    ]


def test_what_follows_from_a_broken_transition_is_not_told_as_well(tmp_path: Path) -> None:
    text = """
class W(Workflow[P]):
    a = step(say).takes(P.url)
    b = step(take).takes(a.output)
    flow = (
        a >> "b",
        b >> complete,
    )
"""
    (told,) = bodies.problems(text, tmp_path)

    assert "'b' is no step" in told.message


def test_mistakes_on_a_step_without_inputs_are_told_with_it(tmp_path: Path) -> None:
    text = """
class W(Workflow[P]):
    a = step(score)
    b = step(take).takes(a.output)
    c = step(take).takes(a)
    flow = (a >> b >> complete, a.when("low") >> c, a.on_error >> complete, b.on_error >> a)
"""
    told = [problem.message for problem in bodies.problems(text, tmp_path)]

    assert "step 'a' has no inputs yet: call .takes(…) on it" in told
    assert "input 'value' of step 'b': step(score) has no inputs yet: call .takes(…) on it" in told
    assert "a step in flow has no inputs yet: call .takes(…) on it" in told
    assert any("this step has no inputs yet: call .takes(…) on it, then wire" in t for t in told)


def test_a_misspelt_field_of_the_payload_is_an_attribute_error_with_a_suggestion(
    tmp_path: Path,
) -> None:
    text = """
class W(Workflow[P]):
    a = step(fetch).takes(P.ulr)
"""
    with pytest.raises(AttributeError, match="payload P has no field 'ulr'; did you mean 'url'"):
        bodies.module(text, tmp_path)


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("step(nothing, retries=3)", "step() has no option 'retries'; did you mean 'retry'?"),
    ],
)
def test_a_call_that_nothing_can_be_made_of_is_a_type_error(
    expression: str, told: str, tmp_path: Path
) -> None:
    with pytest.raises(TypeError, match=re.escape(told)):
        bodies.module(f"{expression}\n", tmp_path)


@pytest.mark.parametrize(
    "expression",
    [
        "step(nothing).takes().nowhere",
        "step(nothing).nowhere",
        "NoPayload.nowhere",
        "P.__nowhere__",
        "(P.url).__nowhere__",
        "(P.url + 'x').__nowhere__",
        "context.__nowhere__",
    ],
)
def test_what_is_not_there_is_an_attribute_error(expression: str, tmp_path: Path) -> None:
    with pytest.raises(AttributeError, match="nowhere"):
        bodies.module(f"{expression}\n", tmp_path)


SOUND = {
    "without a payload": """
class W(Workflow[NoPayload]):
    a = step(nothing).takes()
""",
    "with nothing said about a payload": """
class W(Workflow):
    a = step(nothing).takes()
""",
    "of one step and its flow": """
class W(Workflow[P]):
    a = step(nothing).takes()
    flow = a >> complete
""",
    "with a name of its own": """
class W(Workflow[P], name="refunds"):
    a = step(nothing).takes()
""",
    "with gates and waits among dependencies": """
class W(Workflow[P]):
    a = approval()
    b = pause(after=[a])
    c = wait(P.delay, after=[b])
    d = log("Done", after=[c, c])
""",
    "with every kind of wire": """
class W(Workflow[P]):
    a = step(account).takes()
    b = step(take).takes([a.output.email, {"whole": whole(P), "n": 1}, (P.url, None)])
    c = step(with_bank).takes(resource(Bank), url=a.output.people.first.name)
    d = step(with_context).takes(context)
    e = step(with_bank).takes(bank=connection(), url=a.output.names.root[0])
    f = step(with_session).takes(session(Session), a.output.pair[1])
    g = step(with_secret).takes(P.token)
    h = step(take).takes({"b", "a"})
    i = step(take).takes(a.output.anything["x"].y[3])
    j = step(count).takes(a.output.point.y)
    k = step(take).takes([a.output.score["value"], a.output.limits["x"], a.output.tags[0]])
    m = step(take).takes(Point(1, 2))
    n = step(with_default_client).takes()
    o = step(maybe).takes(optional(P.url))
    p = step(count).takes(a.output.point[0])
    q = step(with_async_session).takes(session(AsyncSession))
    r = step(with_async_connection).takes(connection())
    s = step(with_connection).takes(connection())
    t = step(with_own_session).takes(session(OwnSession))
    u = step(takes_async).takes(connection())
""",
    "with branches on every closed type": """
class W(Workflow[P]):
    a = step(score).takes(P.amount)
    b = step(check).takes()
    c = step(colour).takes()
    d = step(maybe_color).takes()
    e = step(tricky).takes()
    flow = (
        a.when("low") >> b,
        a.when("high") >> b,
        b.when(True) >> c,
        b.when(False) >> complete,
        c.when(Color.RED) >> d,
        c >> complete,
        d.when(None) >> e,
        d >> complete,
        e.when(1) >> complete,
        e.when(True) >> complete,
    )
""",
    "with an approval, a deadline from the payload, and a merge": """
class W(Workflow[P]):
    a = step(score).takes(P.amount)
    b = approval(deadline=P.delay)
    c = step(maybe).takes(optional(b.output.comment))
    flow = (
        a.when("low") >> c >> complete,
        a.when("high") >> b,
        b.on_approved >> c,
        b.on_rejected >> complete,
        b.on_timeout >> complete,
    )
""",
    "with an error route that reads the error": """
class W(Workflow[P]):
    a = step(say).takes(P.url)
    b = step(failed).takes(a.error)
    c = step(say).takes(a.error.message)
    flow = (a >> complete, a.on_error >> b >> c >> complete)
""",
    "with cron triggers": """
class W(Workflow[Required]):
    weekly = cron("0 9 * * 1", timezone="Etc/UTC", payload=week)
    monthly = cron("0 9 1 * *", timezone="Europe/Lisbon", payload=unannotated_week)
    hidden = cron("0 9 1 * *", timezone="Europe/Lisbon", payload=hidden_week)
    by_hand = manual()
    a = step(fetch).takes(Required.url)
""",
    "with a cron trigger and defaults": """
class W(Workflow[P]):
    weekly = cron("0 9 * * 1", timezone="Etc/UTC")
    a = step(nothing).takes()
""",
    "with options": """
class W(Workflow[P]):
    patient = Retry(3, backoff=Exponential(timedelta(seconds=1), timedelta(minutes=1)))
    even = Retry(3, backoff=Constant(timedelta(seconds=1)), jitter=False, stop_on=(ValueError,))
    a = step(nothing, retry=patient, timeout=timedelta(seconds=3), queue="mail").takes()
    b = step(nothing, retry=even, on_interrupt="pause", formerly=["billing:charge"]).takes()
    c = step(nothing, after=[a, b], output="c_of_w").takes()
""",
    "with functions in classes and behind decorators": """
class W(Workflow[P]):
    @staticmethod
    async def inside(text: str) -> str:
        return text
    a = step(Service.static).takes(P.url)
    b = step(decorated).takes(P.url)
    c = step(inside).takes(P.url)
""",
    "with a payload of its own kind": """
class Generic[T](Payload):
    item: T
class W(Workflow[Generic[int]]):
    a = step(count).takes(Generic[int].item)
""",
    "with a payload of types declared after it": """
class Early(Payload):
    later: Later
class Later(Payload):
    n: int
class W(Workflow[Early]):
    a = step(count).takes(Early.later.n)
""",
    "made by a call": """
W = type(Workflow)("W", (Workflow,), {"a": step(nothing).takes()})
""",
    "with fields of a payload's base": """
class W(Workflow[Narrower]):
    a = step(say).takes(P.url)
    b = step(say).takes(Narrower.extra)
""",
}


@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_told_of_a_workflow_without_mistakes(name: str, tmp_path: Path) -> None:
    assert bodies.problems(SOUND[name], tmp_path) == ()
