"""Which tests show which items, as pytest itself collects them."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, order=True)
class Shown:
    """A test that shows an item; `cases` are those of its parameters that do, all if empty."""

    file: str
    test: str
    cases: tuple[str, ...] = ()


class CollectionFailed(Exception):
    """Pytest could not collect the tests."""


@dataclass(slots=True)
class _Marks:
    """A plugin that reads the markers of what is collected. Cases are None for the whole test."""

    found: dict[str, dict[tuple[str, str], list[str] | None]] = field(
        default_factory=dict[str, dict[tuple[str, str], list[str] | None]]
    )

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            if isinstance(item, pytest.Function):
                self._read(item)

    def _read(self, item: pytest.Function) -> None:
        file = item.path.relative_to(ROOT).as_posix()
        spec = getattr(item, "callspec", None)
        of_case = [] if spec is None else list(spec.marks)
        for mark in item.iter_markers("conforms"):
            for number in mark.args:
                tests = self.found.setdefault(number, {})
                key = (file, item.originalname)
                if spec is None or mark not in of_case:
                    tests[key] = None
                elif (cases := tests.setdefault(key, [])) is not None:
                    cases.append(spec.id)


def shown() -> Mapping[str, Sequence[Shown]]:
    """The tests of each item. Runs pytest's own collection: nothing is executed."""
    marks, told = _Marks(), io.StringIO()
    options = ["--collect-only", "-qq", "-p", "no:cacheprovider", str(ROOT / "tests")]
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        code = pytest.main(options, plugins=[marks])
    if code != pytest.ExitCode.OK:
        raise CollectionFailed(told.getvalue())
    return {
        number: sorted(Shown(*key, tuple(cases or ())) for key, cases in tests.items())
        for number, tests in marks.found.items()
    }
