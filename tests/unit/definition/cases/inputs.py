"""What is read where: produced on every way."""

from tests.unit.definition.bodies import Case

CASES = [
    Case(
        "S34, S87 adapted: produced on every way",
        """
class W(Workflow[P]):
    a = step(score).takes(P.amount)
    b = step(say).takes(P.url)
    c = step(maybe).takes(b.output)  # <- here
    flow = (a.when("low") >> b >> c >> complete, a >> c)
""",
        "input 'text' of step 'c' reads b.output, which isn't produced on every way to 'c': "
        "write optional(…), and let the function take None",
    ),
    Case(
        "§3.4: produced on some way",
        """
class W(Workflow[P]):
    b = step(say).takes(P.url)
    a = step(maybe).takes(optional(b.output))  # <- here
    flow = a >> b >> complete
""",
        "input 'text' of step 'a' reads b.output, which no way to 'a' produces: "
        "let b come before it, or wire something else",
    ),
    Case(
        "§3.4: not produced on an error route",
        """
class W(Workflow[P]):
    a = step(say).takes(P.url)
    b = step(take).takes(a.output)  # <- here
    flow = (a >> complete, a.on_error >> b >> complete)
""",
        "input 'value' of step 'b' reads a.output, which no way to 'b' produces",
    ),
    Case(
        "§3.4: nobody has decided on a timeout",
        """
class W(Workflow[P]):
    a = approval(deadline=timedelta(days=1))
    b = step(take).takes(a.output)  # <- here
    flow = (a.on_approved >> complete, a.on_rejected >> complete, a.on_timeout >> b >> complete)
""",
        "input 'value' of step 'b' reads a.output, which no way to 'b' produces",
    ),
    Case(
        "§3.4: error only through on_error",
        """
class W(Workflow[P]):
    a = step(say).takes(P.url)
    b = step(failed).takes(a.error)  # <- here
    flow = a >> b >> complete
""",
        "reads a.error, which no way to 'b' produces: write a.on_error >> … on the way to it",
    ),
    Case(
        "§3.4: error only in a flow",
        """
class W(Workflow[P]):
    a = step(say).takes(P.url)
    b = step(failed).takes(a.error)  # <- here
""",
        "reads a.error, which no way to 'b' produces: write a.on_error >> … in a flow, on the way",
    ),
    Case(
        "S89 adapted: a log leaves no output",
        """
class W(Workflow[P]):
    a = log("Hello")
    b = step(take).takes(a.output)  # <- here
    flow = a >> b >> complete
""",
        "input 'value' of step 'b' reads the output of 'a', but a log leaves none: wire the output",
    ),
    Case(
        "§3.4: a duration is produced, too",
        """
class W(Workflow[P]):
    a = step(say).takes(P.url)
    b = wait(a.output)  # <- here
    flow = b >> a >> complete
""",
        "input 'duration' of wait 'b' reads a.output, which no way to 'b' produces",
    ),
    Case(
        "S27: the output of another workflow",
        """
class Elsewhere(Workflow[P]):
    a = step(say).takes(P.url)
class W(Workflow[P]):
    b = step(take).takes(Elsewhere.a.output)  # <- here
""",
        "input 'value' of step 'b': step 'a' is a step of Elsewhere: "
        "a run reads only its own steps. "
        "Declare it here too",
    ),
    Case(
        "S27: the output of a step without a name",
        """
class W(Workflow[P]):
    b = step(take).takes(step(say).takes(P.url).output)  # <- here
""",
        "input 'value' of step 'b': reads a step without a name: assign the step to one",
    ),
    Case(
        "§3.4: another workflow's payload",
        """
class W(Workflow[P]):
    b = step(say).takes(Other.url)  # <- here
""",
        "input 'text' of step 'b': reads Other, but this workflow's payload is P: "
        "write class W(Workflow[Other])",
    ),
    Case(
        "§3.4: whole() of another payload",
        """
class W(Workflow[Narrower]):
    b = step(take).takes(whole(P))  # <- here
""",
        "reads P, but this workflow's payload is Narrower: write class W(Workflow[P])",
    ),
    Case(
        "§3.4: whole() of no payload",
        """
class W(Workflow[P]):
    b = step(take).takes(whole(Bank))  # <- here
""",
        "whole(Bank) is no payload: write whole(P)",
    ),
]
