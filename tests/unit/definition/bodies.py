"""Compiles workflow classes from text in a file of their own, so that lines can be told."""

import sys
import types
from dataclasses import dataclass
from pathlib import Path

from squid_mesh import WorkflowDefinitionError
from squid_mesh.errors import Problem


@dataclass(frozen=True)
class Case:
    """A workflow that breaks one rule: on the marked line this is told, and nothing else."""

    rule: str
    text: str
    message: str


MARK = "# <- here"

_PREAMBLE = """\
from __future__ import annotations
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypedDict
from pydantic import SecretStr
from squid_mesh import (
    Constant, Exponential, NoPayload, Payload, Retry, Workflow, approval, complete, connection,
    context, cron, log, manual, optional, pause, resource, session, step, wait, whole,
)
from tests.unit.definition.steps import *
from tests.unit.definition.steps import original
if TYPE_CHECKING:
    from nowhere import Hidden
def hidden_week(window: Hidden) -> Hidden: ...
"""


def module(text: str, directory: Path) -> types.ModuleType:
    """Run the text as a module of its own, with everything that it needs imported."""
    path = directory / "declared.py"
    whole = _PREAMBLE + text
    path.write_text(whole)
    loaded = types.ModuleType("tests.unit.definition.declared")
    loaded.__file__ = str(path)
    sys.modules[loaded.__name__] = loaded
    exec(compile(whole, str(path), "exec", dont_inherit=True), loaded.__dict__)  # noqa: S102
    return loaded


def problems(text: str, directory: Path) -> tuple[Problem, ...]:
    """What is told of the text; nothing if it is right."""
    try:
        module(text, directory)
    except WorkflowDefinitionError as error:
        return error.problems
    return ()


def marked(text: str) -> list[int]:
    """The numbers of the marked lines."""
    lines = (_PREAMBLE + text).splitlines()
    return [number for number, line in enumerate(lines, 1) if MARK in line]


def line_of(start: str, text: str) -> int:
    """The number of the line that begins so."""
    lines = (_PREAMBLE + text).splitlines()
    return next(n for n, line in enumerate(lines, 1) if line.strip().startswith(start))
