"""`module:mesh`, the mesh that a command is about: how it is named, imported and made.

What stands there may be

* a `Mesh`;
* a function, async or not, that gives one;
* a function that gives an (async) context manager around one, as `@asynccontextmanager` makes:
  for hosts that have to open and close things around their mesh.

Nothing of it needs to be open. What isn't, is opened by those commands that need it.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
)
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from squid_mesh.cli.complaints import Complaint, in_code
from squid_mesh.errors import InvalidConfig, WorkflowDefinitionError
from squid_mesh.mesh import Mesh

_FORM = "write module:name, as in app.workflows:mesh"


@dataclass(frozen=True, slots=True)
class Target:
    """A place in the host's code."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}:{self.name}"


def parse(text: str) -> Target:
    """A target as it is written. Raises `Complaint`."""
    module, colon, name = text.partition(":")
    dotted = [*module.split("."), *name.split(".")]
    if not colon or not all(part.isidentifier() for part in dotted):
        raise Complaint(f"{text!r} names no mesh", _FORM)
    return Target(module, name)


def load(target: Target) -> object:
    """Import what a target names. Raises `Complaint`, and what definitions raise."""
    module = _imported(target.module)
    try:
        return reduce(getattr, target.name.split("."), cast("object", module))
    except AttributeError:
        hint = f"it has {_meshes(module) or 'no mesh'}; {_FORM}"
        raise Complaint(f"{target.module} has no {target.name!r}", hint) from None


def _imported(module: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # as for `python -m`
    try:
        return importlib.import_module(module)
    except (Complaint, InvalidConfig, WorkflowDefinitionError):
        raise
    except ModuleNotFoundError as error:
        if error.name and f"{module}.".startswith(f"{error.name}."):
            hint = "run this in the folder that holds it, or set PYTHONPATH"
            raise Complaint(f"there is no module {error.name!r}", hint) from None
        raise _broken(module, error) from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 (it is the host's code)
        raise _broken(module, error) from None


def _broken(module: str, error: BaseException) -> Complaint:
    complaint = in_code(f"{module} can't be imported", error)
    complaint.hint = f'`python -c "import {module}"` shows all of it'
    return complaint


def _meshes(module: ModuleType) -> str:
    return ", ".join(name for name, value in vars(module).items() if isinstance(value, Mesh))


@asynccontextmanager
async def mesh_of(target: Target, value: object) -> AsyncGenerator[Mesh]:
    """The mesh that a target's value is or makes, for the length of the block.

    Raises `Complaint`, and what definitions raise.
    """
    async with AsyncExitStack() as stack:
        try:
            made = await _made(target, value)
            if not isinstance(made, Mesh):
                made = await _entered(target, made, stack)
        except (Complaint, InvalidConfig, WorkflowDefinitionError):
            raise
        except Exception as error:  # noqa: BLE001 (it is the host's code)
            raise in_code(f"{target} can't be made", error) from None
        if not isinstance(made, Mesh):
            raise _no_mesh(target, made)
        yield made


async def _made(target: Target, value: object) -> object:
    """What the value comes to, once called and awaited."""
    if callable(value) and not isinstance(value, Mesh):
        value = _called(target, value)
    return await value if inspect.isawaitable(value) else value


def _called(target: Target, function: Callable[..., Any]) -> object:
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        raise Complaint(
            f"{target} can't be called without arguments: {error}",
            "give it defaults, or name a function that takes none",
        ) from None
    except ValueError:  # of a function that has no signature
        pass
    return function()


async def _entered(target: Target, made: object, stack: AsyncExitStack) -> object:
    match made:
        case AbstractAsyncContextManager():
            return await stack.enter_async_context(
                cast("AbstractAsyncContextManager[object]", made)
            )
        case AbstractContextManager():
            return stack.enter_context(cast("AbstractContextManager[object]", made))
        case _:
            raise _no_mesh(target, made)


def _no_mesh(target: Target, made: object) -> Complaint:
    if inspect.isasyncgen(made) or inspect.isgenerator(made):
        decorator = "asynccontextmanager" if inspect.isasyncgen(made) else "contextmanager"
        return Complaint(
            f"{target} is a generator, not a mesh", f"decorate it with @contextlib.{decorator}"
        )
    return Complaint(
        f"{target} is {_kind(made)}, not a mesh",
        "name a Mesh, or a function that gives one or a context manager around one",
    )


def _kind(made: object) -> str:
    return "None" if made is None else f"of type {type(made).__name__}"
