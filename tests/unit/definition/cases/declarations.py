"""Steps by themselves: names, messages, durations, what is taken."""

from tests.unit.definition.bodies import Case

CASES = [
    Case(
        "S13",
        """
class W(Workflow[P]):  # <- here
    pass
""",
        "at least one step is required: write `name = step(function).takes(…)`",
    ),
    Case(
        "S14: a step assigned over",
        """
class W(Workflow[P]):
    a = step(nothing).takes()  # <- here
    a = step(other).takes()
""",
        "'a' is declared here, and again on a later line: give one another name",
    ),
    Case(
        "S14: a step of two names",
        """
class W(Workflow[P]):
    a = b = step(nothing).takes()  # <- here
""",
        "step 'a' is assigned to several names, 'a', 'b': declare each by itself",
    ),
    Case(
        "S14: a name that means something else",
        """
class W(Workflow[P]):
    payload = step(nothing).takes()  # <- here
""",
        "a step can't be named 'payload': write an identifier that means nothing else",
    ),
    Case(
        "S15",
        """
class W(Workflow[P]):
    a = wait(timedelta(0))  # <- here
""",
        "wait 'a' requires a positive duration: write wait(timedelta(minutes=5))",
    ),
    Case(
        "S15: no duration",
        """
class W(Workflow[P]):
    a = wait(None)  # <- here
""",
        "wait 'a' requires a positive duration",
    ),
    Case(
        "S15: a duration is a timedelta",
        """
class W(Workflow[P]):
    a = wait("soon")  # <- here
""",
        "duration of wait 'a': the constant 'soon' is no timedelta: ",
    ),
    Case(
        "S15: a duration is stored",
        """
class W(Workflow[P]):
    a = wait(context)  # <- here
""",
        "wait 'a' requires a positive duration",
    ),
    Case(
        "S15: a duration is one value",
        """
class W(Workflow[P]):
    a = wait([P.delay])  # <- here
""",
        "wait 'a' requires a positive duration",
    ),
    Case(
        "S16",
        """
class W(Workflow[P]):
    a = log(" ")  # <- here
""",
        "log 'a' requires a non-empty message: write log(\"…\")",
    ),
    Case(
        "S16: a message is text",
        """
class W(Workflow[P]):
    a = log(5)  # <- here
""",
        "message of log 'a' is 5: write log(\"Posting the daily digest\")",
    ),
    Case(
        "S16: level",
        """
class W(Workflow[P]):
    a = log("Hello", level="loud")  # <- here
""",
        "level of log 'a' is 'loud': write one of 'debug', 'info', 'warning', 'error'",
    ),
    Case(
        "S18: rejected",
        """
class W(Workflow[P]):
    a = approval()  # <- here
    flow = a.on_approved >> complete
""",
        "approval 'a' must define both on_approved and on_rejected: write a.on_rejected >> …",
    ),
    Case(
        "S18: approved",
        """
class W(Workflow[P]):
    a = approval()  # <- here
    flow = a.on_rejected >> complete
""",
        "approval 'a' must define both on_approved and on_rejected: write a.on_approved >> …",
    ),
    Case(
        "S18 adapted: a pause has a way out",
        """
class W(Workflow[P]):
    a = step(nothing).takes()
    b = pause()  # <- here
    flow = a >> b
""",
        "pause 'b' has no way out: write b >> complete",
    ),
    Case(
        "S19: misspelt",
        """
class W(Workflow[P]):
    a = step(fetch).takes(P.url)
    b = step(two).takes(first=P.url, secnd=P.amount)  # <- here
""",
        "two has no parameter 'secnd': wire one of first, second; did you mean 'second'?",
    ),
    Case(
        "S19: misspelt where nothing is taken",
        """
class W(Workflow[P]):
    a = step(nothing).takes(url=P.url)  # <- here
""",
        "nothing has no parameter 'url': it takes none, so leave it out",
    ),
    Case(
        "S19: forgotten",
        """
class W(Workflow[P]):
    a = step(two).takes(second=P.amount)  # <- here
""",
        "input 'first' of two is not wired: add first=… to takes()",
    ),
    Case(
        "S19: given twice",
        """
class W(Workflow[P]):
    a = step(fetch).takes(P.url, url=P.url)  # <- here
""",
        "input 'url' is given twice: leave one out",
    ),
    Case(
        "S19: too many",
        """
class W(Workflow[P]):
    a = step(fetch).takes(P.url, P.amount)  # <- here
""",
        "fetch takes 1 inputs, not 2: leave some out",
    ),
    Case(
        "S19: takes() is not called",
        """
class W(Workflow[P]):
    a = step(nothing).takes()
    b = step(nothing)  # <- here
""",
        "step 'b' has no inputs yet: call .takes(…) on it",
    ),
    Case(
        "S20: output",
        """
class W(Workflow[P]):
    a = step(nothing, output="the digest").takes()  # <- here
""",
        "step 'a' defines an invalid output name 'the digest': "
        'write an identifier, output="digest"',
    ),
    Case(
        "S20: output is text",
        """
class W(Workflow[P]):
    a = step(nothing, output=["x"]).takes()  # <- here
""",
        "output of step 'a' is ['x']: write output=\"digest\"",
    ),
    Case(
        "S20: outputs are told apart",
        """
class W(Workflow[P]):
    a = step(nothing, output="digest").takes()
    b = step(nothing, output="digest").takes()  # <- here
""",
        "steps 'a' and 'b' both call their output 'digest': give one of them another output=…",
    ),
    Case(
        "S21",
        """
class W(Workflow[P]):
    a = step(nothing).takes()
    b = step(nothing, after=a).takes()  # <- here
""",
        "after of step 'b' is no list: write after=[step, …]",
    ),
    Case(
        "S22: of another workflow",
        """
class Elsewhere(Workflow[P]):
    a = step(nothing).takes()
class W(Workflow[P]):
    b = step(nothing, after=[Elsewhere.a]).takes()  # <- here
""",
        "step 'b' comes after step 'a', which is no step of this workflow: write after=[step, …]",
    ),
    Case(
        "S22: an output",
        """
class W(Workflow[P]):
    a = step(say).takes(P.url)
    b = step(nothing, after=[a.output]).takes()  # <- here
""",
        "step 'b' comes after reference output, which is no step of this workflow",
    ),
    Case(
        "S26: a flow and after",
        """
class W(Workflow[P]):
    a = step(nothing).takes()
    b = step(nothing, after=[a]).takes()  # <- here
    flow = a >> b >> complete
""",
        "step 'b' has after=, but this workflow has a flow: write its place in the flow with >>",
    ),
]
