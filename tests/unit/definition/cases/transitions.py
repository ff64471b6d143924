"""Transitions: from a step to a step, once."""

from tests.unit.definition.bodies import Case

CASES = [
    Case(
        "S24, S34 adapted: a cycle of transitions",
        """
class W(Workflow[P]):
    a = step(nothing).takes()
    b = step(check).takes()  # <- here
    c = step(nothing).takes()
    flow = (a >> b, b.when(True) >> c >> b, b.when(False) >> complete)
""",
        "workflow flow must be acyclic, but goes in a circle",
    ),
    Case(
        "S24: a cycle over an error route",
        """
class W(Workflow[P]):
    a = step(nothing).takes()  # <- here
    flow = (a >> complete, a.on_error >> a)
""",
        "workflow flow must be acyclic, but goes in a circle (a >> a): end it somewhere",
    ),
    Case(
        "S27: from elsewhere",
        """
class Elsewhere(Workflow[P]):
    a = step(nothing).takes()
class W(Workflow[P]):
    b = step(nothing).takes()
    flow = (
        b >> complete,
        Elsewhere.a >> complete,  # <- here
    )
""",
        "step 'a' is a step of Elsewhere, not of this workflow: declare it here too",
    ),
    Case(
        "S27: to nowhere",
        """
class W(Workflow[P]):
    b = step(nothing).takes()
    flow = (
        b >> complete,
        b.on_error >> "c",  # <- here
    )
""",
        "'c' is no step: write a >> b, or a >> complete",
    ),
    Case(
        "S27: to a step without a name",
        """
class W(Workflow[P]):
    b = step(nothing).takes()
    flow = (
        b >> complete,
        b.on_error >> wait(timedelta(seconds=1)),  # <- here
    )
""",
        "wait '(unnamed)' stands in flow: assign it to a name in the class body",
    ),
    Case(
        "S27: past the end",
        """
class W(Workflow[P]):
    b = step(nothing).takes()
    flow = (
        b >> complete,
        complete >> b,  # <- here
    )
""",
        "nothing can follow `complete`: end the transition there",
    ),
    Case(
        "S27: to a way out",
        """
class W(Workflow[P]):
    b = step(nothing).takes()
    flow = (
        b >> complete,
        b.on_error >> b.on_ok,  # <- here
    )
""",
        "a transition leads to a way out: write >> to a step",
    ),
    Case(
        "S27: to a transition",
        """
class W(Workflow[P]):
    a = step(nothing).takes()
    b = step(nothing).takes()
    flow = (
        b >> complete,
        a >> (b >> complete),  # <- here
        a >> b,
    )
""",
        "a transition leads to a transition: write a >> b >> c without parentheses",
    ),
    Case(
        "S27: a bare step",
        """
class W(Workflow[P]):
    b = step(nothing).takes()  # <- here
    c = step(nothing).takes()
    flow = (b, b >> c >> complete)
""",
        "flow holds step 'b' alone: write b >> complete",
    ),
    Case(
        "S27: a bare way out",
        """
class W(Workflow[P]):
    b = step(nothing).takes()
    flow = (
        b >> complete,
        b.on_error,  # <- here
    )
""",
        "flow holds a way out that leads nowhere: write >> and a step after it",
    ),
    Case(
        "S27: no transition at all",
        """
class W(Workflow[P]):
    b = step(nothing).takes()
    flow = ("b", b >> complete)  # <- here
""",
        "flow holds 'b', which is no transition: write a >> b >> complete",
    ),
    Case(
        "S27: a transition outside flow",
        """
class W(Workflow[P]):
    b = step(nothing).takes()
    happy = b >> complete  # <- here
""",
        "'happy' is a transition, which leads nowhere here: write it in flow",
    ),
    Case(
        "S28: a log can't fail",
        """
class W(Workflow[P]):
    a = log("Hello")
    b = step(nothing).takes()
    flow = (
        a >> b >> complete,
        a.on_error >> b,  # <- here
    )
""",
        "log 'a' has no on_error: write one of its ways out, >>",
    ),
    Case(
        "S28: a wait can't fail",
        """
class W(Workflow[P]):
    a = wait(timedelta(seconds=1))
    b = step(nothing).takes()
    flow = (
        a >> b >> complete,
        a.on_error >> b,  # <- here
    )
""",
        "wait 'a' has no on_error: write one of its ways out, >>",
    ),
    Case(
        "S28: a pause can't fail",
        """
class W(Workflow[P]):
    a = pause()
    b = step(nothing).takes()
    flow = (
        a >> b >> complete,
        a.on_error >> b,  # <- here
    )
""",
        "pause 'a' has no on_error: write one of its ways out, >>",
    ),
    Case(
        "S28: an approval has no plain way out",
        """
class W(Workflow[P]):
    a = approval()
    b = step(nothing).takes()
    flow = (
        a.on_approved >> b >> complete,
        a.on_rejected >> complete,
        a >> b,  # <- here
    )
""",
        "approval 'a' has no >>: write one of its ways out, on_approved, on_rejected, on_timeout",
    ),
    Case(
        "S28: an approval returns no value",
        """
class W(Workflow[P]):
    a = approval()
    flow = (
        a.on_approved >> complete,
        a.on_rejected >> complete,
        a.when("approved") >> complete,  # <- here
    )
""",
        "approval 'a' has no when(…): write one of its ways out, on_approved",
    ),
    Case(
        "S28: a wait has no value",
        """
class W(Workflow[P]):
    a = wait(timedelta(seconds=1))
    flow = (
        a >> complete,
        a.when(1) >> complete,  # <- here
    )
""",
        "wait 'a' has no when(…): write one of its ways out, >>",
    ),
    Case(
        "S28: a step isn't decided on",
        """
class W(Workflow[P]):
    a = step(nothing).takes()
    flow = (
        a >> complete,
        a.on_approved >> complete,  # <- here
    )
""",
        "step 'a' has no on_approved: write one of its ways out, >>, when(…), on_error",
    ),
    Case(
        "S29",
        """
class W(Workflow[P]):
    a = step(nothing).takes()
    b = step(nothing).takes()
    flow = (
        a >> b >> complete,
        a >> complete,  # <- here
    )
""",
        "duplicate transition declared from 'a' on >>: a way out leads to one place",
    ),
    Case(
        "S29: on_ok is >>",
        """
class W(Workflow[P]):
    a = step(nothing).takes()
    b = step(nothing).takes()
    flow = (
        a >> b >> complete,
        a.on_ok >> complete,  # <- here
    )
""",
        "duplicate transition declared from 'a' on >>",
    ),
    Case(
        "S29: two when of one value",
        """
class W(Workflow[P]):
    a = step(score).takes(P.amount)
    flow = (
        a >> complete,
        a.when("low") >> complete,
        a.when("low") >> complete,  # <- here
    )
""",
        "duplicate transition declared from 'a' on when('low')",
    ),
]
