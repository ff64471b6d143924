"""The rules of a definition: for each the smallest workflow that breaks it, and what is told."""

import re
from pathlib import Path

import pytest

from tests.unit.definition import bodies
from tests.unit.definition.bodies import Case
from tests.unit.definition.cases import CASES

IMPERATIVE = re.compile(
    r"\b(write|declare|give|call|move|make|remove|rename|wire|import|use|leave|let|lead|add|end|"
    r"assign|take|pass|annotate|return|name|compute|set)\b"
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_a_broken_rule_is_told_on_its_line(case: Case, tmp_path: Path) -> None:
    told = bodies.problems(case.text, tmp_path)

    assert [case.message in problem.message for problem in told] == [True], told
    lines = [problem.source.line for problem in told if problem.source]
    assert lines == bodies.marked(case.text), told
    assert IMPERATIVE.search(told[0].message), "says what to write instead"
