"""The class itself."""

from tests.unit.definition.bodies import Case

CASES = [
    Case(
        "a workflow isn't extended",
        """
class Base(Workflow[P]):
    a = step(nothing).takes()
class W(Base):  # <- here
    b = step(nothing).takes()
""",
        "W extends Base: write class W(Workflow[…]), which extends nothing else",
    ),
    Case(
        "a workflow has no mixins",
        """
class Mixin:
    a = step(nothing).takes()
class W(Mixin, Workflow[P]):  # <- here
    b = step(nothing).takes()
""",
        "W extends Mixin, Workflow: write class W(Workflow[…]), which extends nothing else",
    ),
    *(
        Case(
            "a workflow has a name",
            f"""
class W(Workflow[P], name={name}):  # <- here
    a = step(nothing).takes()
""",
            f'the workflow is named {name}: write text, name="refunds"',
        )
        for name in ("5", "''", "' '")
    ),
]
