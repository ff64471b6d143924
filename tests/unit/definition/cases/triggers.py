"""Triggers and payloads."""

from tests.unit.definition.bodies import Case

CASES = [
    Case(
        "S7: a name has one trigger",
        """
class W(Workflow[P]):
    hourly = cron("0 * * * *", timezone="Etc/UTC")  # <- here
    hourly = cron("1 * * * *", timezone="Etc/UTC")
    a = step(nothing).takes()
""",
        "'hourly' is declared here, and again on a later line: give one another name",
    ),
    Case(
        "L1: a trigger has one name",
        """
class W(Workflow[P]):
    hourly = daily = manual()  # <- here
    a = step(nothing).takes()
""",
        "trigger 'hourly' is assigned to several names, 'hourly', 'daily': declare each by itself",
    ),
    Case(
        "S9: an expression",
        """
class W(Workflow[P]):
    hourly = cron("", timezone="Etc/UTC")  # <- here
    a = step(nothing).takes()
""",
        "trigger 'hourly' must define a cron expression and timezone: "
        'write cron("0 9 * * 1-5", timezone="Etc/UTC")',
    ),
    Case(
        "S9: an expression of text",
        """
class W(Workflow[P]):
    hourly = cron(5, timezone="Etc/UTC")  # <- here
    a = step(nothing).takes()
""",
        "trigger 'hourly' must define a cron expression and timezone",
    ),
    Case(
        "S9: a timezone",
        """
class W(Workflow[P]):
    hourly = cron("0 * * * *", timezone=None)  # <- here
    a = step(nothing).takes()
""",
        "trigger 'hourly' must define a cron expression and timezone",
    ),
    Case(
        "S9, S162 adapted: the syntax is checked",
        """
class W(Workflow[P]):
    hourly = cron("61 * * * *", timezone="Etc/UTC")  # <- here
    a = step(nothing).takes()
""",
        "trigger 'hourly' has no valid cron expression (Bad minute): write five fields, minute",
    ),
    Case(
        "S9, S163 adapted: five fields",
        """
class W(Workflow[P]):
    hourly = cron("* * * * * *", timezone="Etc/UTC")  # <- here
    a = step(nothing).takes()
""",
        "has no valid cron expression ('* * * * * *' has 6 fields): write five fields",
    ),
    Case(
        "S9 adapted: it fires",
        """
class W(Workflow[P]):
    never = cron("0 0 30 2 *", timezone="Etc/UTC")  # <- here
    a = step(nothing).takes()
""",
        "trigger 'never' has no valid cron expression (",
    ),
    Case(
        "S9 adapted: a known timezone",
        """
class W(Workflow[P]):
    hourly = cron("0 * * * *", timezone="Europe/Lisboa")  # <- here
    a = step(nothing).takes()
""",
        "trigger 'hourly' names the unknown timezone 'Europe/Lisboa': "
        'write an IANA name such as "Europe/Lisbon"',
    ),
    Case(
        "§3.4: missed",
        """
class W(Workflow[P]):
    hourly = cron("0 * * * *", timezone="Etc/UTC", missed="none")  # <- here
    a = step(nothing).takes()
""",
        "trigger 'hourly' has missed='none': write one of 'skip', 'latest', 'all'",
    ),
    Case(
        "§3.4: max_missed",
        """
class W(Workflow[P]):
    hourly = cron("0 * * * *", timezone="Etc/UTC", max_missed=0)  # <- here
    a = step(nothing).takes()
""",
        "trigger 'hourly' requires a positive max_missed: write max_missed=100",
    ),
    Case(
        "S161, S162: a cron payload can be made from defaults",
        """
class W(Workflow[Required]):
    hourly = cron("0 * * * *", timezone="Etc/UTC")  # <- here
    a = step(nothing).takes()
""",
        "cron trigger 'hourly': nothing makes url, day of its payload: "
        "give defaults, or write payload=…",
    ),
    Case(
        "§3.4: payload= is recorded by name",
        """
class W(Workflow[Required]):
    hourly = cron("0 * * * *", timezone="Etc/UTC", payload=lambda window: week(window))  # <- here
    a = step(nothing).takes()
""",
        "cron trigger 'hourly': payload=a lambda has no name to be found by again: write `def`",
    ),
    Case(
        "§3.4: payload= is a function",
        """
class W(Workflow[Required]):
    hourly = cron("0 * * * *", timezone="Etc/UTC", payload=Required)  # <- here
    a = step(nothing).takes()
""",
        "is no function: write `def`",
    ),
    Case(
        "§3.4: payload= takes the window",
        """
class W(Workflow[Required]):
    hourly = cron("0 * * * *", timezone="Etc/UTC", payload=bare_week)  # <- here
    a = step(nothing).takes()
""",
        "must take one argument: write def bare_week(window: Window)",
    ),
    Case(
        "§3.4: payload= makes this workflow's payload",
        """
class W(Workflow[Required]):
    hourly = cron("0 * * * *", timezone="Etc/UTC", payload=other_week)  # <- here
    a = step(nothing).takes()
""",
        "other_week makes Other: write one that makes Required",
    ),
    Case(
        "S10 adapted: the payload is a class",
        """
class W(Workflow[int]):  # <- here
    a = step(nothing).takes()
""",
        "int is no payload: write class int(Payload)",
    ),
    Case(
        "S12 adapted: a field has a type that can be stored",
        """
class Bad(Payload):
    model_config = {"arbitrary_types_allowed": True}
    bank: Bank
class W(Workflow[Bad]):  # <- here
    a = step(nothing).takes()
""",
        "payload field 'bank': Bank is nothing that JSON can hold",
    ),
    Case(
        "S12 adapted: the type of a field can be resolved",
        """
class Bad(Payload):
    hidden: Hidden
class W(Workflow[Bad]):  # <- here
    a = step(nothing).takes()
""",
        "payload field 'hidden': ForwardRef('Hidden') is nothing that JSON can hold (an annotation",
    ),
    *(
        Case(
            f"S11: a default of another type, {default}",
            f"""
class Bad(Payload):
    url: str = "here"
    n: {annotation} = {default}
class W(Workflow[Bad]):  # <- here
    a = step(nothing).takes()
""",
            "payload field 'n' defines an invalid default, which ",
        )
        for annotation, default in (
            ("int", "'x'"),
            ("int", "1.5"),
            ("str", "None"),
            ("list[int]", "('x',)"),
            ("float", "float('nan')"),
        )
    ),
    Case(
        "§3.4: a field hides nothing of pydantic's, one alone",
        """
class Bad(Payload):  # <- here
    copy: str
""",
        "payload field 'copy' hides pydantic's own `BaseModel.copy`: rename it",
    ),
    *(
        Case(
            "§3.4: a field hides nothing of pydantic's",
            f"""
class Bad(Payload):  # <- here
    {name}: str = ""
""",
            f"payload field {name!r} hides pydantic's own `BaseModel.{name}`: rename it",
        )
        for name in ("json", "schema", "dict", "model_dump", "mro")
    ),
]
