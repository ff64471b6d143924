"""The options of a step."""

from tests.unit.definition.bodies import Case

CASES = [
    Case(
        "S30",
        """
class W(Workflow[P]):
    a = step(nothing, retry=Retry(max_attempts=0)).takes()  # <- here
""",
        "retry for 'a' must define a positive max_attempts (it counts the first try): "
        "write Retry(max_attempts=3)",
    ),
    Case(
        "S30: a policy",
        """
class W(Workflow[P]):
    a = step(nothing, retry=3).takes()  # <- here
""",
        "retry of step 'a' is 3: write Retry(max_attempts=3)",
    ),
    Case(
        "S30: a whole number",
        """
class W(Workflow[P]):
    a = step(nothing, retry=Retry(max_attempts=1.5)).takes()  # <- here
""",
        "write Retry(max_attempts=3)",
    ),
    Case(
        "S30: backoff",
        """
class W(Workflow[P]):
    a = step(nothing, retry=Retry(3, backoff=5)).takes()  # <- here
""",
        "backoff of step 'a' is 5: write Exponential(timedelta(seconds=1), timedelta(minutes=1))",
    ),
    Case(
        "S30: min is positive",
        """
class W(Workflow[P]):
    a = step(nothing, retry=Retry(3, backoff=Constant(timedelta(0)))).takes()  # <- here
""",
        "retry for 'a' defines an invalid backoff: write positive delays, min not greater than max",
    ),
    Case(
        "S30: max is at least min",
        """
class W(Workflow[P]):
    slow = Retry(3, backoff=Exponential(timedelta(seconds=2), timedelta(seconds=1)))
    a = step(nothing, retry=slow).takes()  # <- here
""",
        "retry for 'a' defines an invalid backoff",
    ),
    Case(
        "§3.1: stop_on",
        """
class W(Workflow[P]):
    a = step(nothing, retry=Retry(3, stop_on=ValueError)).takes()  # <- here
""",
        "stop_on of step 'a' is <class 'ValueError'>: write a tuple of exception classes",
    ),
    Case(
        "§3.1: timeout",
        """
class W(Workflow[P]):
    a = step(nothing, timeout=30).takes()  # <- here
""",
        "timeout of step 'a' is 30: write timeout=timedelta(seconds=30)",
    ),
    Case(
        "§3.1: a positive timeout",
        """
class W(Workflow[P]):
    a = step(nothing, timeout=timedelta(0)).takes()  # <- here
""",
        "step 'a' requires a positive timeout: write timeout=timedelta(seconds=30)",
    ),
    Case(
        "§3.1: queue",
        """
class W(Workflow[P]):
    a = step(nothing, queue=5).takes()  # <- here
""",
        "queue of step 'a' is 5: write queue=\"mail\"",
    ),
    Case(
        "§3.1: a queue with a name",
        """
class W(Workflow[P]):
    a = step(nothing, queue=" ").takes()  # <- here
""",
        "step 'a' names an empty queue: write queue=\"mail\", or leave it out",
    ),
    Case(
        "§3.1: on_interrupt",
        """
class W(Workflow[P]):
    a = step(nothing, on_interrupt="stop").takes()  # <- here
""",
        "on_interrupt of step 'a' is 'stop': write one of 'retry', 'pause', 'fail'",
    ),
    Case(
        "§3.1: formerly",
        """
class W(Workflow[P]):
    a = step(nothing, formerly="billing:charge").takes()  # <- here
""",
        "formerly of step 'a' is 'billing:charge': write formerly=(\"module:function\",)",
    ),
    Case(
        "§3.1: formerly names actions",
        """
class W(Workflow[P]):
    a = step(nothing, formerly=["charge"]).takes()  # <- here
""",
        "step 'a' names the action 'charge': write \"module:function\"",
    ),
    Case(
        "§3.4: other options take no references",
        """
class W(Workflow[P]):
    a = step(nothing, timeout=P.delay).takes()  # <- here
""",
        "timeout of step 'a' takes no reference, as it is the same for every run: "
        "write timeout=timedelta(seconds=30). Inputs, a wait's duration and an approval's",
    ),
    Case(
        "§3.4: a message takes no reference",
        """
class W(Workflow[P]):
    a = log(P.url)  # <- here
""",
        "message of log 'a' takes no reference",
    ),
    Case(
        "§3.4: an option takes no computed reference",
        """
class W(Workflow[P]):
    a = log(
        P.url + "!"  # <- here
    )
""",
        "message of log 'a': a reference holds no value yet: compute with it inside a step",
    ),
]
