"""The file that holds the JSON Schema of definitions: `python -m tests.unit.definition.schema_file`
writes it anew."""

import json
from pathlib import Path

from squid_mesh.definition.document import json_schema

FILE = Path(__file__).parents[3] / "docs" / "definition.schema.json"


def current() -> str:
    """What the file should hold."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(current())
