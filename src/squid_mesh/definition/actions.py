"""The functions behind steps: how a definition names them, and what it needs to know of them."""

from __future__ import annotations

import importlib
import inspect
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from squid_mesh.definition.annotations import cases
from squid_mesh.definition.spec import ActionSpec, ParameterSpec
from squid_mesh.definition.values import Codec


@dataclass(frozen=True)
class Parameter:
    """A parameter of an action, with the way its value is read from JSON."""

    name: str
    required: bool
    codec: Codec


@dataclass(frozen=True)
class Action:
    """A function of the loaded code that steps can call."""

    name: str
    function: Callable[..., Any]
    is_async: bool
    parameters: Mapping[str, Parameter]
    output: Codec

    def spec(self, injected: frozenset[str] = frozenset()) -> ActionSpec:
        """The action as a definition pins it; `injected` parameters hold nothing that is stored."""
        return ActionSpec(
            self.name,
            tuple(
                ParameterSpec(p.name, p.required, None if p.name in injected else _schema(p.codec))
                for p in self.parameters.values()
            ),
            self.output.digest,
            cases(self.output.annotation),
            self.output.secret,
        )


def _schema(codec: Codec) -> str | None:
    """The digest of what a parameter accepts, None for one that takes nothing stored."""
    return codec.digest if codec.check() is None else None


class Unusable(TypeError):
    """A function that can't be a step's, with every reason why."""

    def __init__(self, reasons: list[str]) -> None:
        self.reasons = reasons
        super().__init__("; ".join(reasons))


_AS_WRITTEN: dict[str, Any] = (
    {"annotation_format": importlib.import_module("annotationlib").Format.FORWARDREF}
    if sys.version_info >= (3, 14)
    else {}
)
"""From Python 3.14 on a signature evaluates annotations, and raises for one that it can't."""


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """A function's signature, whether or not its annotations can be resolved."""
    return inspect.signature(function, **_AS_WRITTEN)


def name_of(function: object) -> str:
    """`module:qualname`, as definitions name a function."""
    return f"{getattr(function, '__module__', '?')}:{getattr(function, '__qualname__', '?')}"


def inspect_action(function: Callable[..., Any]) -> Action:
    """Read a function's signature. Raises `Unusable` with every reason why it can't be a step's."""
    if (reason := unnameable(function)) is not None:
        raise Unusable([reason])
    return _Reader(function).read()


def unnameable(function: object) -> str | None:
    """Why the next process can't find a function again by its name, or None.

    A run outlives the process that started it.
    """
    shown = name_of(function)
    module, _, qualname = shown.partition(":")
    reason = None
    if inspect.isclass(function) or not inspect.isroutine(function):
        reason = f"{function!r} is no function: write `def` or `async def` in a module"
    elif "<lambda>" in qualname:
        reason = "a lambda has no name to be found by again: write `def` in a module"
    elif "<locals>" in qualname:
        reason = (
            f"{shown} is defined inside a function: move it to the top of its module "
            "(and give a decorator functools.wraps)"
        )
    elif inspect.ismethod(function) or module == "None":
        reason = f"{shown} is bound to an object: make it a function and wire a resource to it"
    elif module == "__main__":
        reason = f"{qualname} is in the script that was started: move it to a module of its own"
    elif _leads_elsewhere(function, module, qualname):
        reason = f"{shown} leads to another object than this function: give it its own name there"
    return reason


def _leads_elsewhere(function: object, module: str, qualname: str) -> bool:
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found is not None and found is not function


class _Reader:
    """Reads one function, gathering reasons as it goes."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.name = name_of(function)
        self.reasons: list[str] = []

    def read(self) -> Action:
        if uncallable := list(_uncallable(self.function, self.name)):
            raise Unusable(uncallable)
        parameters = {p.name: self._parameter(p) for p in self._signature.parameters.values()}
        output = self._output()
        if self.reasons:
            raise Unusable(self.reasons)
        is_async = inspect.iscoroutinefunction(self.function)
        return Action(self.name, self.function, is_async, parameters, output)

    @cached_property
    def _signature(self) -> inspect.Signature:
        try:
            return signature_of(self.function)
        except (TypeError, ValueError):
            raise Unusable([f"{self.name} has no signature: call it in a `def` of yours"]) from None

    def _parameter(self, parameter: inspect.Parameter) -> Parameter:
        if parameter.kind not in _NAMED:
            self.reasons.append(
                f"parameter {parameter} of {self.name} can't be wired by name: "
                "write each one out as a plain parameter"
            )
        annotation = parameter.annotation
        annotation = Any if annotation is parameter.empty else annotation
        codec = Codec(self._resolved(annotation, f"parameter {parameter.name!r}"))
        return Parameter(parameter.name, parameter.default is parameter.empty, codec)

    def _output(self) -> Codec:
        annotation = self._signature.return_annotation
        if annotation is inspect.Signature.empty:
            self.reasons.append(
                f"{self.name} has no return annotation: write `-> None`, the type it returns, "
                "or `-> Any` for JSON as it is"
            )
            return Codec(Any)
        codec = Codec(self._resolved(annotation, "the return annotation"))
        if (why := codec.check()) is not None:
            self.reasons.append(
                f"the return annotation of {self.name}: {why}: return plain data, such as a "
                "dataclass or a pydantic model"
            )
        return codec

    def _resolved(self, annotation: Any, what: str) -> Any:
        """An annotation without strings in it, resolved where the function was written."""
        holder = type("holder", (), {"__annotations__": {"it": annotation}})
        scope = getattr(inspect.unwrap(self.function), "__globals__", {})
        try:
            return typing.get_type_hints(holder, globalns=scope, include_extras=True)["it"]
        except (NameError, AttributeError, SyntaxError, TypeError) as error:
            self.reasons.append(
                f"{what} of {self.name} can't be resolved ({error}): "
                "import its type at run time, not only under TYPE_CHECKING"
            )
            return Any


_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def _uncallable(function: Callable[..., Any], name: str) -> Iterator[str]:
    """Why calling a function doesn't give its value."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        yield f"{name} is a generator: return one value"
    is_async = inspect.iscoroutinefunction(function)
    if not is_async and inspect.iscoroutinefunction(inspect.unwrap(function)):
        yield (
            f"{name} is a plain function around an async one: write the decorator's wrapper with "
            "`async def`, or mark it with inspect.markcoroutinefunction"
        )
