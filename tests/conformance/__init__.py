"""Which items of the original's behaviour the tests show: `docs/conformance.md` is made of it.

The items stand in `items.toml`. A test says which it shows by `@conforms("S86")`.
"""

import re
from typing import Any

import pytest
from _pytest.mark import ParameterSet

_NUMBER = re.compile(r"\bS\d+\b")


def conforms(*items: str) -> pytest.MarkDecorator:
    """Say which items (S86 …) a test shows: `docs/conformance.md` lists it under each."""
    return pytest.mark.conforms(*items)


def ruled(rule: str, *values: Any) -> ParameterSet:
    """A parameter set that is called what its rule says and shows the items before its colon.

    `ruled("S14: a step of two names", case)` shows S14.
    """
    items = _NUMBER.findall(rule.partition(":")[0])
    return pytest.param(*values, id=rule, marks=[conforms(*items)] if items else [])
