"""Marks tests with the items of the original's behaviour that they show."""

import pytest


def conforms(*items: str) -> pytest.MarkDecorator:
    """Say which items (S86 …) a test shows: `docs/conformance.md` lists it under each."""
    return pytest.mark.conforms(*items)
