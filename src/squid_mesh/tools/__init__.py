"""Tools: how steps reach the outside world, with one shape for what comes back and what goes wrong.

`squid_mesh.tools.http` is an adapter for HTTP (the extra `http`); a host writes its own as an
object with an `invoke`. Nothing here knows of runs: a `ToolError` is a `StepError`, so what a tool
says of its failure (its kind, its details, whether to try again) holds for the step.
"""

from squid_mesh.tools.boundary import Adapter, Kind, Result, ToolError, invoke

__all__ = ["Adapter", "Kind", "Result", "ToolError", "invoke"]
