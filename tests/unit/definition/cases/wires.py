"""What can be wired."""

from tests.unit.definition.bodies import Case

CASES = [
    Case(
        "§3.4: optional into a parameter that takes no None",
        """
class W(Workflow[P]):
    a = step(check).takes()
    b = step(say).takes(P.url)
    c = step(say).takes(optional(b.output))  # <- here
    flow = (a.when(True) >> b >> c >> complete, a >> c)
""",
        "optional(…) may be None, but the parameter is str: annotate it str | None",
    ),
    Case(
        "§3.4: optional of no reference",
        """
class W(Workflow[P]):
    a = step(maybe).takes(
        optional("x")  # <- here
    )
""",
        "optional(…) takes a reference: write optional(step.output)",
    ),
    Case(
        "§3.4: a path out of optional",
        """
class W(Workflow[P]):
    a = step(account).takes()
    b = step(maybe).takes(
        optional(a.output).email  # <- here
    )
""",
        "optional(…) may be None: write the path inside, as in optional(step.output.email)",
    ),
    Case(
        "§3.4: optional of a mistake",
        """
class W(Workflow[P]):
    a = step(maybe).takes(
        optional(P.url + "/feed").x[0]  # <- here
    )
""",
        "a reference holds no value yet: compute with it inside a step",
    ),
    Case(
        "§3.4: a payload class is no value",
        """
class W(Workflow[P]):
    a = step(take).takes(P)  # <- here
""",
        "input 'value' of step 'a': P is a type: wire whole(P), or one of its fields",
    ),
    Case(
        "§3.4: a resource's class is no value",
        """
class W(Workflow[P]):
    a = step(take).takes(Bank)  # <- here
""",
        "Bank is a type: wire resource(Bank)",
    ),
    Case(
        "§3.4: StepContext is no value",
        """
class W(Workflow[P]):
    from squid_mesh import StepContext
    a = step(take).takes(StepContext)  # <- here
""",
        "StepContext is a type: wire `context`",
    ),
    Case(
        "§3.4: a step is no value",
        """
class W(Workflow[P]):
    a = step(say).takes(P.url)
    b = step(take).takes(a)  # <- here
""",
        "input 'value' of step 'b': step 'a' is a step: write a.output",
    ),
    Case(
        "§3.4: a transition is no value",
        """
class W(Workflow[P]):
    a = step(say).takes(P.url)
    b = step(take).takes(a.on_error)  # <- here
""",
        "a transition is no value: write it in flow",
    ),
    Case(
        "§3.4: context has no parts",
        """
class W(Workflow[P]):
    b = step(take).takes(
        context.run_id  # <- here
    )
""",
        "context is handed over whole: wire it, and use .run_id in the step",
    ),
    Case(
        "§3.4: a resource in a list",
        """
class W(Workflow[P]):
    b = step(take).takes([resource(Bank)])  # <- here
""",
        "resource can't stand in a list or a dict: wire it to a parameter",
    ),
    Case(
        "§3.4: a resource of no type",
        """
class W(Workflow[P]):
    b = step(take).takes(resource("bank"))  # <- here
""",
        "resource('bank') is no type: write resource(SomeClass)",
    ),
    Case(
        "§3.4: a parameter that JSON can't hold",
        """
class W(Workflow[P]):
    b = step(with_bank).takes(bank=P.url, url=P.url)  # <- here
""",
        "input 'bank' of step 'b': Bank is nothing that JSON can hold (",
    ),
    Case(
        "§3.4: a constant of another type",
        """
class W(Workflow[P]):
    b = step(count).takes("many")  # <- here
""",
        "the constant 'many' is no int: Input should be a valid integer: pass a value of that type",
    ),
    Case(
        "§3.4: a constant that JSON can't hold",
        """
class W(Workflow[P]):
    b = step(take).takes(object)  # <- here
    c = step(take).takes(3)
""",
        "object is a type: wire resource(object)",
    ),
    Case(
        "§3.4: an object is no constant",
        """
class W(Workflow[P]):
    b = step(take).takes(service)  # <- here
""",
        "can't be stored as JSON: pass something that can, wire references by themselves",
    ),
    Case(
        "§3.4: a constant of more than a mebibyte",
        """
class W(Workflow[P]):
    b = step(take).takes("x" * 2_000_000)  # <- here
""",
        "the constant 'xxxxxxxxxxxx...xxxxxxxxxxxxx' can't be stored as JSON",
    ),
    Case(
        "§3.4: no NaN",
        """
class W(Workflow[P]):
    b = step(take).takes(float("nan"))  # <- here
""",
        "the constant nan can't be stored as JSON",
    ),
    Case(
        "§3.4: keys are text",
        """
class W(Workflow[P]):
    b = step(table).takes({1: P.url})  # <- here
""",
        "the key 1 is no text: write '1', as JSON keys are text",
    ),
    Case(
        "§3.4: a secret in a definition",
        """
class W(Workflow[P]):
    b = step(with_secret).takes("hunter2")  # <- here
""",
        "a secret can't be written in a definition, which is stored and shown: "
        "take it from the payload",
    ),
    Case(
        "§3.4: a secret object in a definition",
        """
class W(Workflow[P]):
    b = step(take).takes([SecretStr("hunter2")])  # <- here
""",
        "a secret can't be written in a definition: take it from the payload",
    ),
    Case(
        "§3.4: an object with a secret in a definition",
        """
class W(Workflow[P]):
    b = step(take).takes(Token(token=SecretStr("hunter2")))  # <- here
""",
        "a secret can't be written in a definition: take it from the payload",
    ),
    *(
        Case(
            f"§3.4: a reference is not computed with, {expression}",
            f"""
class W(Workflow[P]):
    b = step(take).takes(
        {expression}  # <- here
    )
""",
            "a reference holds no value yet: compute with it inside a step",
        )
        for expression in (
            "P.amount + 1",
            "1 - P.amount",
            "-P.amount",
            "P.url.upper()",
            "P.amount < 3",
            "P.amount >> 3",
            "[P.amount * 2]",
            "{'x': P.amount * 2}",
        )
    ),
    *(
        Case(
            f"§3.4: a reference is not asked for its value, {expression}",
            f"""
class W(Workflow[P]):
    b = step(take).takes(
        {expression}  # <- here
    )
""",
            "a reference holds no value yet: compute with it inside a step",
        )
        for expression in (
            "P.url or 'x'",
            "f'{P.url}/feed'",
            "str(P.url)",
            "len(P.url)",
            "[*P.url]",
            "P.url == 'x'",
            "'x' in P.url",
        )
    ),
]
