"""Between a step and an adapter: a request in, a `Result` out, or a `ToolError` raised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from squid_mesh.errors import StepError

type Context = Mapping[str, Any]
"""What an adapter may want to know of its caller. It isn't part of the request."""


class Kind(StrEnum):
    """What can go wrong with any adapter, or over HTTP. An adapter may have kinds of its own."""

    INVALID_REQUEST = "invalid_request"
    INVALID_CONTEXT = "invalid_context"
    ADAPTER_CONTRACT = "adapter_contract"
    TIMEOUT = "timeout"
    TRANSPORT = "transport"
    FORBIDDEN_ADDRESS = "forbidden_address"
    REDIRECT = "redirect"
    TOO_LARGE = "too_large"
    INVALID_RESPONSE = "invalid_response"
    HTTP = "http"


@dataclass(frozen=True, slots=True)
class Result[P]:
    """What an adapter brought back; `metadata` is about the call, and holds no secret."""

    adapter: str
    payload: P
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])


class ToolError(StepError):
    """A call that came to nothing. Raised out of a step it is the step's failure.

    `kind` is stored as the failure's code, `details` are JSON-able and hold no secret, and
    `retryable=False` goes past the step's retry policy.
    """

    def __init__(
        self,
        adapter: str,
        kind: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        retryable: bool = False,
    ) -> None:
        self.adapter, self.kind = adapter, str(kind)
        facts = {"adapter": adapter, **(details or {})}
        super().__init__(message, code=str(kind), details=facts, retryable=retryable)


class Adapter[Q, P](Protocol):
    """One way to the outside world. It never tries again by itself: that is the step's policy."""

    @property
    def name(self) -> str:
        """What results and errors call it."""
        ...

    async def invoke(self, request: Q, context: Context, /) -> Result[P]:
        """Do what the request says. Raises `ToolError`, or `RetryLater` when told when."""
        ...


async def invoke[Q, P](
    adapter: Adapter[Q, P], request: Q, *, context: Context | None = None
) -> Result[P]:
    """Call an adapter, and hold it to its contract.

    Raises `ToolError` of the kinds `invalid_context` and `adapter_contract`, and whatever the
    adapter raises.
    """
    name = _name_of(adapter)
    if not _is_mapping(context or {}):
        raise ToolError(
            name,
            Kind.INVALID_CONTEXT,
            "tool contexts must be mappings",
            details={"reason": "expected_map"},
        )
    if not callable(getattr(adapter, "invoke", None)):
        raise _broken_contract(name, f"{type(adapter).__name__} has no invoke()")
    result = await adapter.invoke(request, context or {})
    if not _is_result(result):
        raise _broken_contract(name, f"a {type(result).__name__}, which is no Result")
    return result


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def _is_result(value: object) -> bool:
    return isinstance(value, Result)


def _name_of(adapter: object) -> str:
    name = getattr(adapter, "name", None)
    return name if isinstance(name, str) else type(adapter).__name__


def _broken_contract(name: str, reason: str) -> ToolError:
    return ToolError(
        name,
        Kind.ADAPTER_CONTRACT,
        "tool adapter returned an invalid result",
        details={"reason": reason},
    )
