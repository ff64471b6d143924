"""What goes wrong, as a sentence and a hint: nobody who runs a command is shown a traceback."""

from __future__ import annotations

import traceback
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, override

import click
import psycopg
from psycopg_pool import PoolTimeout

from squid_mesh.errors import NotInstalled, SquidMeshError


class Complaint(click.ClickException):
    """An error that a person can do something about; the exit code is 1."""

    def __init__(self, sentence: str, hint: str | None = None) -> None:
        self.hint = hint
        super().__init__(sentence)

    @override
    def show(self, file: IO[Any] | None = None) -> None:
        """Print it to the standard error."""
        click.echo(f"Error: {self.message}", file=file, err=True)
        if self.hint:
            click.echo(f"Hint: {self.hint}", file=file, err=True)


class Unreachable(Complaint):
    """The database doesn't answer: what helps is to try again."""


@contextmanager
def complaining() -> Generator[None]:
    """Make complaints of the errors that the block raises."""
    try:
        yield
    except (psycopg.OperationalError, PoolTimeout) as error:
        raise unreachable(error) from None
    except psycopg.Error as error:
        raise Complaint(f"Postgres refused: {_first_line(error)}", _refusal_hint(error)) from None
    except NotInstalled as error:
        raise Complaint(*_halves(error)) from None
    except SquidMeshError as error:
        raise Complaint(str(error)) from None


def unreachable(error: BaseException) -> Unreachable:
    """The complaint about a database that can't be connected to."""
    return Unreachable(
        f"the database can't be reached: {_first_line(error)}",
        "check that Postgres runs, and that the DSN names its host, port, user and database",
    )


def in_code(what: str, error: BaseException) -> Complaint:
    """The complaint about an error that came out of the host's own code."""
    place = where(error)
    text = _first_line(error)
    reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return Complaint(f"{what}: {reason}" + (f" ({place})" if place else ""))


def where(error: BaseException) -> str:
    """The line of code that an error came from."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{shown(error.filename)}:{error.lineno}"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename[0] != "<"]
    return f"{shown(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""


def shown(file: str) -> str:
    """A file as a person would name it from here."""
    path, here = Path(file), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else file


def _halves(error: NotInstalled) -> tuple[str, str | None]:
    """The text of an error that says what to do behind its colon."""
    sentence, _, hint = str(error).partition(": ")
    return sentence, hint or None


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), "")


def _refusal_hint(error: psycopg.Error) -> str | None:
    match error:
        case psycopg.errors.InsufficientPrivilege():
            return "use a DSN whose user may do this: a migration creates a schema and its tables"
        case psycopg.errors.UniqueViolation() | psycopg.errors.DuplicateTable():
            return "somebody else may have installed it meanwhile: look with `squid-mesh status`"
        case _:
            return None
