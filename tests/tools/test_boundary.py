"""The boundary of tools: what an adapter may do, and what it says when it can't."""

from collections.abc import Mapping
from typing import Any

import pytest

from squid_mesh import StepError
from squid_mesh.tools import Kind, Result, ToolError, invoke
from tests.conformance import conforms


class Doubling:
    """An adapter."""

    name = "doubling"

    async def invoke(self, request: int, context: Mapping[str, Any]) -> Result[int]:
        """Twice as much."""
        if request < 0:
            raise ToolError(self.name, "too_cold", "below zero", details={"request": request})
        return Result(self.name, request * 2, {"for": context.get("run")})


class Careless(Doubling):
    """An adapter that breaks its contract."""

    async def invoke(self, request: int, context: Mapping[str, Any]) -> Any:  # noqa: ARG002
        """Something else than a result."""
        return request


@conforms("S184")
async def test_an_adapter_gives_a_result() -> None:
    result = await invoke(Doubling(), 21, context={"run": "r1"})
    assert result == Result("doubling", 42, {"for": "r1"})
    assert (await invoke(Doubling(), 1)).metadata == {"for": None}


@conforms("S184", "S186")
async def test_what_an_adapter_raises_is_the_failure_of_a_step() -> None:
    with pytest.raises(StepError) as caught:
        await invoke(Doubling(), -1)
    error = caught.value
    assert isinstance(error, ToolError)
    assert (error.adapter, error.kind, error.message) == ("doubling", "too_cold", "below zero")
    assert (error.code, error.retryable) == ("too_cold", False)
    assert error.details == {"adapter": "doubling", "request": -1}


@conforms("S185")
async def test_a_broken_contract_is_told() -> None:
    with pytest.raises(ToolError, match="tool adapter returned an invalid result") as caught:
        await invoke(Careless(), 1)
    error = caught.value
    assert (error.kind, error.retryable) == (Kind.ADAPTER_CONTRACT, False)
    assert error.details == {"adapter": "doubling", "reason": "a int, which is no Result"}

    nothing: Any = object()
    with pytest.raises(ToolError) as caught:
        await invoke(nothing, 1)
    assert caught.value.details == {"adapter": "object", "reason": "object has no invoke()"}


async def test_a_context_is_a_mapping() -> None:
    context: Any = ["r1"]
    with pytest.raises(ToolError, match="tool contexts must be mappings") as caught:
        await invoke(Doubling(), 1, context=context)
    assert caught.value.kind == Kind.INVALID_CONTEXT


async def test_other_exceptions_of_an_adapter_pass() -> None:
    text: Any = "1"
    with pytest.raises(TypeError):
        await invoke(Doubling(), text)
