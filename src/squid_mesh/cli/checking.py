"""`squid-mesh check`: everything that is wrong with a host's definitions and its mesh, at once.

Needs no database: nothing that isn't open is opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from squid_mesh.cli import target
from squid_mesh.cli.complaints import Complaint, shown
from squid_mesh.cli.parts import Parts, parts_of
from squid_mesh.cli.target import Target
from squid_mesh.definition.gathering import gathering
from squid_mesh.definition.spec import Injected, StepSpec
from squid_mesh.dispatch import oban as dispatch
from squid_mesh.errors import InvalidConfig, Problem, WorkflowDefinitionError


@dataclass(slots=True)
class Verdict:
    """What was found. Notes are no problems: another process may make up for them."""

    workflows: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


async def check(wanted: Target) -> Verdict:
    """Import a target, make its mesh, and look at both.

    Raises `Complaint` when that comes to an end before any definition was found wrong.
    """
    verdict = Verdict()
    with gathering() as errors:
        try:
            async with target.mesh_of(wanted, target.load(wanted)) as mesh:
                _look_at(parts_of(mesh), verdict)
        except InvalidConfig as error:
            verdict.problems += error.problems
        except WorkflowDefinitionError as error:
            errors.append(error)
        except Complaint as complaint:
            if not errors:
                raise
            verdict.problems.append(complaint.message)
    verdict.problems = [*_of_definitions(errors), *verdict.problems]
    return verdict


def _of_definitions(errors: list[WorkflowDefinitionError]) -> Iterator[str]:
    for error in errors:
        for problem in error.problems:
            yield _place(problem) + f"{error.workflow}: {problem.message}"


def _place(problem: Problem) -> str:
    return f"{shown(problem.source.file)}:{problem.source.line}: " if problem.source else ""


def _look_at(parts: Parts, verdict: Verdict) -> None:
    served = dispatch.queues_of(parts.oban)
    default = parts.settings.queueing.queue
    for name, definition in parts.catalog.definitions.items():
        verdict.workflows.append(name)
        for step in definition.spec.steps:
            verdict.problems += _missing_resources(name, step, parts)
            queue = step.queue or default
            if queue not in served:
                verdict.notes.append(f"{name}.{step.name} waits in queue {queue!r}")


def _missing_resources(workflow: str, step: StepSpec, parts: Parts) -> Iterator[str]:
    for wire in step.inputs.values():
        if not isinstance(wire, Injected) or wire.origin != "resource":
            continue
        if wire.type is not None and wire.type not in parts.resources:
            yield (
                f"{workflow}.{step.name} takes resource {wire.type}, which this mesh doesn't have: "
                "pass one in resources=[…]"
            )
