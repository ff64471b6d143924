"""Functions that can be steps."""

from tests.unit.definition.bodies import Case

CASES = [
    *(
        Case(
            f"§3.4: actions, {function}",
            f"""
class W(Workflow[P]):
    a = step({function}).takes({inputs})  # <- here
""",
            message,
        )
        for function, inputs, message in (
            ("lambda: None", "", "a lambda has no name to be found by again: write `def`"),
            ("Bank", "", "<class 'tests.unit.definition.steps.Bank'> is no function: write `def`"),
            ("5", "", "5 is no function: write `def` or `async def` in a module"),
            ("partial", "", "is no function: write `def`"),
            ("service", "P.url", "is no function: write `def`"),
            (
                "service.bound",
                "P.url",
                "is bound to an object: make it a function and wire a resource",
            ),
            (
                "nameless",
                "P.url",
                "top of its module (and give a decorator functools.wraps)",
            ),
            ("original", "P.url", "steps:replaced leads to another object than this function"),
            ("generates", "", "steps:generates is a generator: return one value"),
            (
                "disguised",
                "P.url",
                "is a plain function around an async one: write the decorator's",
            ),
            ("no_return", "P.url", "steps:no_return has no return annotation: write `-> None`"),
            (
                "returns_bank",
                "",
                "return annotation of tests.unit.definition.steps:returns_bank: Bank is nothing",
            ),
            ("returns_odd", "", "Odd is nothing that JSON can hold ("),
            (
                "takes_many",
                "",
                "*values: str of tests.unit.definition.steps:takes_many can't be wired by name",
            ),
            ("takes_names", "", "parameter **values: str of"),
            ("dict.fromkeys", "", "None:dict.fromkeys is bound to an object"),
            ("iter", "", "builtins:iter has no signature: call it in a `def` of yours"),
        )
    ),
    Case(
        "§3.4: a return type with annotations that can't be resolved",
        """
class Leads(TypedDict):
    somewhere: Hidden
def leads() -> Leads: ...
class W(Workflow[P]):
    a = step(leads).takes()  # <- here
    b = step(take).takes(a.output["somewhere"])
""",
        "Leads is nothing that JSON can hold (an annotation in it can't be resolved: import its",
    ),
    Case(
        "§3.4: actions of the script",
        """
def main_step() -> None: ...
main_step.__module__ = "__main__"
class W(Workflow[P]):
    a = step(main_step).takes()  # <- here
""",
        "main_step is in the script that was started: move it to a module of its own",
    ),
    Case(
        "§3.4: annotations that can't be resolved",
        """
def hidden(value: Hidden) -> None: ...
class W(Workflow[P]):
    a = step(hidden).takes(P.url)  # <- here
""",
        "parameter 'value' of tests.unit.definition.declared:hidden can't be resolved "
        "(name 'Hidden' is not defined): import its type at run time",
    ),
    Case(
        "§3.4: return annotations that can't be resolved",
        """
def hidden() -> Hidden: ...
class W(Workflow[P]):
    a = step(hidden).takes()  # <- here
""",
        "the return annotation of tests.unit.definition.declared:hidden can't be resolved",
    ),
]
