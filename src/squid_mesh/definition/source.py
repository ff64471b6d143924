"""Finds the line of the author's code that a declaration stands on."""

from __future__ import annotations

import inspect
import os
from pathlib import Path

from squid_mesh.errors import Source

_HERE = str(Path(__file__).parent) + os.sep


def author() -> Source:
    """The nearest frame outside this package: where the author wrote what we were called for."""
    frame = inspect.currentframe()
    assert frame is not None, "CPython has frames"
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_HERE):
        frame = frame.f_back
    return Source(frame.f_code.co_filename, frame.f_lineno)
