"""What a server answered, whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

import orjson

from squid_mesh.tools.boundary import Kind, ToolError
from squid_mesh.tools.http.request import NAME


@dataclass(frozen=True, slots=True)
class Response:
    """An answer. Headers are named in lower case; `url` is where it came from, as it is shown."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    url: str

    @property
    def text(self) -> str:
        """The body as text, in UTF-8 unless it says otherwise; what isn't is replaced."""
        return self._decoded("replace")

    def json(self) -> Any:
        """The body as JSON. Raises `ToolError` of the kind `invalid_response`."""
        try:
            return orjson.loads(self._decoded("strict").removeprefix("\ufeff"))
        except ValueError:
            what = f"{self.headers.get('content-type', 'untyped')}, {len(self.body)} bytes"
            raise ToolError(
                NAME,
                Kind.INVALID_RESPONSE,
                f"{self.url} answered {self.status} with something that isn't JSON ({what})",
                details={"url": self.url, "status": self.status},
            ) from None

    def _decoded(self, errors: str) -> str:
        header = Message()
        header["content-type"] = self.headers.get("content-type", "")
        try:
            return self.body.decode(header.get_content_charset("utf-8"), errors)
        except LookupError:  # of what is no encoding of text
            return self.body.decode("utf-8", errors)
