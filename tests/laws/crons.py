"""The workflow of law 8: a window every minute, whose body writes down that it began."""

import threading

from squid_mesh import Payload, Window, Workflow, context, cron, resource, step
from tests.laws.journal import Journal
from tests.laws.workflows import note
from tests.meshes import Workflows


class Minute(Payload):
    at: str


hangs = False
"""Whether this process never makes a payload."""


def minute(window: Window) -> Minute:
    if hangs:
        threading.Event().wait()
    return Minute(at=window.at.isoformat())


class Minutely(Workflow[Minute]):
    each = cron("* * * * *", timezone="Europe/Lisbon", payload=minute, missed="all", max_missed=50)
    only = step(note).takes(context, resource(Journal))


WORKFLOWS: Workflows = [Minutely]
