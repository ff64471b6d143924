"""What steps leave: as large as the load says, and no part of what a run is started with."""

from __future__ import annotations

from typing import Any


class Outputs:
    """Makes them. `text` is set before anything starts."""

    text: str = ""

    def of(self, number: int) -> dict[str, Any]:
        """What a step of this run leaves."""
        return {"number": number, "text": self.text}


outputs = Outputs()
"""Of this process: bodies have no other way to it in every system."""
