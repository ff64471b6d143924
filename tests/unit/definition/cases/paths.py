"""Paths into outputs and payloads."""

from tests.unit.definition.bodies import Case

CASES = [
    *(
        Case(
            f"§3.4: paths, a.output{path}",
            f"""
class W(Workflow[P]):
    a = step(account).takes()
    b = step(take).takes(
        a.output{path}  # <- here
    )
""",
            message,
        )
        for path, message in (
            ("[-1]", "[-1] counts from the end: a path into a stored value can't"),
            ("[1:2]", "is no path into a stored value: use a key or an index"),
            ("[True]", "[True] is no path into a stored value: use a key or an index"),
        )
    ),
    *(
        Case(
            f"§3.4: paths, a.output{path}",
            f"""
class W(Workflow[P]):
    a = step(account).takes()
    b = step(take).takes(a.output{path})  # <- here
""",
            f"input 'value' of step 'b': {message}",
        )
        for path, message in (
            (
                ".names.foot",
                ".foot is not among what is stored of Names: write one of root; did you mean",
            ),
            (".emial", ".emial is not among what is stored of Account: write one of email,"),
            (".shout", ".shout is not among what is stored of Account"),
            ('["email"]', '["email"] doesn\'t lead into Account: write .email'),
            ("[0]", "[0] doesn't lead into Account: write .email"),
            (".owner.loud", ".loud is not among what is stored of Person: write one of name"),
            (".owner.hidden", ".hidden is not among what is stored of Person"),
            (".manager.name", ".name leads into Person | None, which isn't always the same"),
            (".where.name", ".name leads into Maybe[Person], which isn't always the same"),
            (".score.value", '.value doesn\'t lead into Score: write ["value"]'),
            ('.score["reason"]', '["reason"] of Score isn\'t always there: wire the whole value'),
            (".point.z", ".z is not among what is stored of Point: write one of x, y"),
            (".point[2]", "[2] doesn't lead into Point: write .x"),
            (".people.first.age", ".age is not among what is stored of Person"),
            (".people.items[0].age", ".age is not among what is stored of Person"),
            ('.tags["x"]', '["x"] doesn\'t lead into list[str]: write [0]'),
            (".pair[2]", "[2] is beyond the end of tuple[int, str]: it has 2 items"),
            (".limits.daily", '.daily doesn\'t lead into Mapping[str, int]: write ["key"]'),
            (".limits[0]", '[0] doesn\'t lead into Mapping[str, int]: write ["key"]'),
            (".email[0]", "[0] leads into str, which has no parts: wire the whole value"),
            (".id.bit", ".bit leads into int, which has no parts"),
            (".budget.cents", ".cents leads into int, which has no parts"),
            (".seen[0]", "[0] leads into set[str], which has no parts"),
            (".names.root[0].x", ".x leads into str, which has no parts"),
            (".names.first", ".first is not among what is stored of Names: write one of root"),
        )
    ),
    Case(
        "§3.4: paths into the payload",
        """
class W(Workflow[P]):
    b = step(take).takes(P.url.host)  # <- here
""",
        "input 'value' of step 'b': .host leads into str, which has no parts",
    ),
    Case(
        "§3.4: paths into a decision",
        """
class W(Workflow[P]):
    a = approval()
    b = step(take).takes(a.output.reason)  # <- here
""",
        ".reason is not among what is stored of Decision: write one of decision, actor, comment",
    ),
]
