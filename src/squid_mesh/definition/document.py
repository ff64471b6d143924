"""A spec as a canonical JSON document, and back.

The document is what `definitions` rows hold and what a definition's version is a hash of. Reading
one takes an allow-list of actions: a stored document can never name code of its own choosing.
`from_json` reads what this library has written, also by rules looser than today's, so that a run
goes on with the definition it began with; `load` reads what comes from anywhere else.
"""

from __future__ import annotations

from collections.abc import Container
from hashlib import sha256
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from squid_mesh.definition.spec import WorkflowSpec
from squid_mesh.definition.validation import findings
from squid_mesh.errors import Problem, WorkflowDefinitionError

_adapter: TypeAdapter[WorkflowSpec] = TypeAdapter(WorkflowSpec)


def to_json(spec: WorkflowSpec) -> bytes:
    """The canonical document: keys sorted, defaults left out, UTF-8."""
    document = _adapter.dump_python(spec, mode="json", by_alias=True, exclude_defaults=True)
    return orjson.dumps(document | {"format": spec.format}, option=orjson.OPT_SORT_KEYS)


def from_json(document: bytes | str, *, actions: Container[str]) -> WorkflowSpec:
    """Read a document whose actions are all in `actions` (names like `"billing:charge"`).

    Raises `WorkflowDefinitionError` with every place where the document isn't of the format or
    names an action that isn't allowed.
    """
    try:
        spec = _adapter.validate_json(document, strict=True)
    except ValidationError as error:
        raise WorkflowDefinitionError("document", _unreadable(error)) from None
    if forbidden := [
        Problem(f"step {step.name!r}: action {step.action.name!r} is not allowed here")
        for step in spec.steps
        if step.action is not None and step.action.name not in actions
    ]:
        raise WorkflowDefinitionError(spec.name, forbidden)
    return spec


def load(document: bytes | str, *, actions: Container[str]) -> WorkflowSpec:
    """Read a document that somebody else has written: as `from_json`, and every rule is applied.

    Raises `WorkflowDefinitionError` with every problem.
    """
    spec = from_json(document, actions=actions)
    if found := findings(spec):
        raise WorkflowDefinitionError(spec.name, [Problem(f.message) for f in found])
    return spec


def version(spec: WorkflowSpec) -> str:
    """The definition's version: a hash of its document, 32 hex digits."""
    return sha256(to_json(spec)).hexdigest()[:32]


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the document (kept in `docs/definition.schema.json`)."""
    schema = _adapter.json_schema(by_alias=True, mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _unreadable(error: ValidationError) -> list[Problem]:
    return [
        Problem(f"{'.'.join(map(str, detail['loc'])) or 'document'}: {detail['msg']}")
        for detail in error.errors(include_url=False)
    ]
