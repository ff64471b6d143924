"""What loaded code tells a reader of the definition that a run is pinned to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from squid_mesh.definition.secrets import Secrets
from squid_mesh.definition.spec import Json, StepSpec, WorkflowSpec
from squid_mesh.definition.values import Codec
from squid_mesh.engine.graph import Graph


@dataclass(frozen=True, slots=True)
class Code:
    """A pinned definition, and beside it the code of this process, as far as it has any.

    `operations` are the steps as they are operated here (retry, `on_interrupt`); `misfits` says why
    a step can't be run here; `codecs` read outputs, `payload` reads the payload.
    """

    graph: Graph
    operations: Mapping[str, StepSpec]
    misfits: Mapping[str, tuple[str, ...]]
    codecs: Mapping[str, Codec]
    payload: Codec | None

    @property
    def spec(self) -> WorkflowSpec:
        """The pinned definition."""
        return self.graph.spec

    def secrets(self, payload: Json, outputs: Mapping[str, Json]) -> Secrets:
        """What must not be shown of a run that has stored these."""
        return Secrets.of(self.spec, payload, outputs, self.codecs, self.payload)
