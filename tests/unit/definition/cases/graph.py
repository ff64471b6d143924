"""The graph as a whole."""

from tests.unit.definition.bodies import Case

CASES = [
    Case(
        "S31: two entries",
        """
class W(Workflow[P]):
    a = step(nothing).takes()
    b = step(nothing).takes()  # <- here
    flow = (a >> complete, b >> complete)
""",
        "workflow must define exactly one entry step, but nothing leads to 'b' "
        "and the flow begins at 'a': lead to one of them with >>",
    ),
    Case(
        "S31, S34, S121 adapted: none, a loop",
        """
class W(Workflow[P]):
    a = step(nothing).takes()  # <- here
    b = step(nothing).takes()
    flow = a >> b >> a
""",
        "workflow flow must be acyclic, but goes in a circle",
    ),
    Case(
        "S34 adapted: unreachable",
        """
class W(Workflow[P]):
    a = step(nothing).takes()
    b = step(nothing).takes()  # <- here
    flow = a >> complete
""",
        "step 'b' can't be reached: give it a place in the flow with >>, or remove it",
    ),
    Case(
        "S34, S86, S98 adapted: no way out",
        """
class W(Workflow[P]):
    a = step(nothing).takes()
    b = step(nothing).takes()  # <- here
    flow = a >> b
""",
        "step 'b' has no way out: write b >> complete",
    ),
    Case(
        "S34 adapted: only an error route",
        """
class W(Workflow[P]):
    a = step(nothing).takes()  # <- here
    flow = a.on_error >> complete
""",
        "step 'a' has no way out: write a >> complete",
    ),
    Case(
        "S34 adapted: nothing in flow",
        """
class W(Workflow[P]):
    a = step(nothing).takes()
    flow = ()  # <- here
""",
        "flow is empty: write a >> b >> complete, or remove it",
    ),
]
