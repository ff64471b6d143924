"""Branches and deadlines."""

from tests.unit.definition.bodies import Case

CASES = [
    Case(
        "§3.4: when() needs a closed type",
        """
class W(Workflow[P]):
    a = step(say).takes(P.url)  # <- here
    flow = (a.when("x") >> complete, a >> complete)
""",
        "step 'a' has when(…), but its output is no closed set of values: "
        "annotate what it returns as a Literal, an Enum or bool",
    ),
    Case(
        "§3.4: when() of a value",
        """
class W(Workflow[P]):
    a = step(score).takes(P.amount)  # <- here
    flow = (a.when("medium") >> complete, a >> complete)
""",
        "step 'a' never returns 'medium': write one of 'low', 'high'",
    ),
    Case(
        "§3.4: when() of 1 isn't when() of True",
        """
class W(Workflow[P]):
    a = step(check).takes()  # <- here
    flow = (a.when(1) >> complete, a >> complete)
""",
        "step 'a' never returns 1: write one of True, False",
    ),
    Case(
        "§3.4: when() covers the type",
        """
class W(Workflow[P]):
    a = step(colour).takes()  # <- here
    flow = a.when(Color.RED) >> complete
""",
        "step 'a' has no way out for 'blue': write a.when(…) for each, or a >> … for the rest",
    ),
    Case(
        "§3.4: when() covers None too",
        """
class W(Workflow[P]):
    a = step(maybe_color).takes()  # <- here
    flow = (a.when(Color.RED) >> complete, a.when(Color.BLUE) >> complete)
""",
        "step 'a' has no way out for None",
    ),
    Case(
        "§3.4: a deadline has on_timeout",
        """
class W(Workflow[P]):
    a = approval(deadline=timedelta(days=1))  # <- here
    flow = (a.on_approved >> complete, a.on_rejected >> complete)
""",
        "approval 'a' has a deadline but no way out when it passes: write a.on_timeout >> …",
    ),
    Case(
        "§3.4: a deadline has a flow",
        """
class W(Workflow[P]):
    a = approval(deadline=timedelta(days=1))  # <- here
""",
        "no way out when it passes: write a.on_timeout >> … in a flow",
    ),
    Case(
        "§3.4: on_timeout has a deadline",
        """
class W(Workflow[P]):
    a = approval()  # <- here
    flow = (a.on_approved >> complete, a.on_rejected >> complete, a.on_timeout >> complete)
""",
        "approval 'a' has an on_timeout but no deadline: write approval(deadline=timedelta(",
    ),
    Case(
        "§3.4: a deadline is positive",
        """
class W(Workflow[P]):
    a = approval(deadline=timedelta(0))  # <- here
    flow = (a.on_approved >> complete, a.on_rejected >> complete, a.on_timeout >> complete)
""",
        "approval 'a' requires a positive deadline: write deadline=timedelta(days=2)",
    ),
]
