"""One workflow as it is declared by several versions of an application's code."""

from squid_mesh import NoPayload, StepContext, Workflow, complete, context, resource, step
from tests.laws.journal import Journal
from tests.laws.workflows import hold, note


async def extra(at: StepContext, journal: Journal) -> str:
    """An action that only the first version has."""
    await journal.begin(at)
    return "extra, as it was"


async def renamed(at: StepContext, journal: Journal) -> str:
    """The same action, moved."""
    await journal.begin(at)
    return "extra, moved"


class Before(Workflow[NoPayload], name="Order"):
    """The first version: three steps."""

    begin = step(hold).takes(context, resource(Journal))
    middle = step(extra).takes(context, resource(Journal))
    end = step(note).takes(context, resource(Journal))
    flow = begin >> middle >> end >> complete


class After(Workflow[NoPayload], name="Order"):
    """The next version, without the middle, and with a step more at the end."""

    begin = step(hold).takes(context, resource(Journal))
    end = step(note).takes(context, resource(Journal))
    more = step(note).takes(context, resource(Journal))
    flow = begin >> end >> more >> complete


class Moved(Workflow[NoPayload], name="Order"):
    """The next version, whose middle step's function has moved."""

    begin = step(hold).takes(context, resource(Journal))
    middle = step(renamed, formerly=(f"{__name__}:extra",)).takes(context, resource(Journal))
    more = step(note).takes(context, resource(Journal))
    flow = begin >> middle >> more >> complete


WORKFLOWS = [After]
"""What the old process of a test declares."""
