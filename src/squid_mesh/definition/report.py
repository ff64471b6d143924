"""Gathers what is wrong with a class body, so that all of it is told at once."""

from __future__ import annotations

from squid_mesh.errors import Problem, Source


class Report:
    """Problems so far. One without a line of its own is told on the line of the class."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._problems: list[Problem] = []

    def tell(self, message: str, source: Source | None = None) -> None:
        """Add a problem."""
        self._problems.append(Problem(message, source or self._source))

    @property
    def problems(self) -> list[Problem]:
        """All problems, each once, in the order of their lines."""
        return sorted(set(self._problems), key=_place)


def _place(problem: Problem) -> tuple[str, int, str]:
    source = problem.source
    return (source.file, source.line, problem.message) if source else ("", 0, problem.message)
