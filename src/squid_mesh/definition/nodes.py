"""The steps of a class body, as their author writes them.

A node records what was written and where; nothing is judged here. `compile.py` turns nodes into a
spec and tells every problem at once.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeGuard, cast, overload

from squid_mesh.definition.actions import signature_of
from squid_mesh.definition.flow import Flow, Way
from squid_mesh.definition.handed import Decision, StepFailure
from squid_mesh.definition.hints import hint, label
from squid_mesh.definition.options import Retry
from squid_mesh.definition.reference import Broken, Ref, Target
from squid_mesh.definition.source import author
from squid_mesh.definition.spec import Exit, Origin, StepKind
from squid_mesh.errors import Problem, Source

if TYPE_CHECKING:
    from squid_mesh.definition.flow import ClosedFlow, End


class Node:
    """Anything in a workflow that can be arrived at."""

    kind: StepKind

    def __init__(
        self, *, after: Sequence[Node] = (), source: Source | None = None, **options: Any
    ) -> None:
        self.names: list[str] = []
        self.owners: list[type] = []
        self.after = after
        self.options = options
        self.problems: list[Problem] = []
        self.source = source or author()

    def __set_name__(self, owner: type, name: str) -> None:
        self.names.append(name)
        self.owners.append(owner)

    def __repr__(self) -> str:
        return label(self.kind, self.name)

    @property
    def name(self) -> str:
        """The attribute it is assigned to."""
        return self.names[0] if self.names else "(unnamed)"

    # What a kind lacks a checker refuses; at run time it is told with all the rest.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name in _EXITS:
                return Way(self, _EXITS[name], author())
            if name in {"output", "error"}:
                return Ref(Target(Origin(name), node=self))
            raise AttributeError(f"{self!r} has no {name!r}")

        def when(self, value: Any) -> Way:
            """Not a way out of it: told as such."""
            return Way(self, Exit.WHEN, author(), value)

        def __rshift__(self, target: Any) -> Flow:
            return Way(self, Exit.OK, author()) >> target


_EXITS = {f"on_{way}": way for way in Exit if way is not Exit.WHEN}


class Linear(Node):
    """A node with one plain way out, taken with `>>`."""

    @property
    def on_ok(self) -> Way:
        """The plain way out, by name: `a.on_ok >> b` is `a >> b`."""
        return Way(self, Exit.OK, author())

    @overload
    def __rshift__(self, target: Linear) -> Flow: ...
    @overload
    def __rshift__(self, target: Node | End) -> ClosedFlow: ...
    def __rshift__(self, target: Node | End) -> ClosedFlow:
        return self.on_ok >> target


class Step[R](Linear):
    """A declared call of a function. To a type checker `output` is what the function returns."""

    kind = StepKind.ACTION

    def __init__(self, function: Callable[..., Any], inputs: dict[str, Any], **rest: Any) -> None:
        super().__init__(**rest)
        self.function = function
        self.inputs = inputs

    @property
    def output(self) -> R:
        """The step's output, to be wired; attributes, keys and indexes lead into it."""
        return cast("R", Ref(Target(Origin.OUTPUT, node=self)))

    @property
    def error(self) -> StepFailure:
        """How the step failed, to be wired on paths through `on_error`."""
        return cast("StepFailure", Ref(Target(Origin.ERROR, node=self)))

    @property
    def on_error(self) -> Way:
        """The way out after the last attempt has failed."""
        return Way(self, Exit.ERROR, author())

    def when(self, value: R, /) -> Way:
        """The way out when the output equals `value` (a `Literal`, an `Enum` or a `bool`)."""
        return Way(self, Exit.WHEN, author(), value)


def is_step(node: Node) -> TypeGuard[Step[Any]]:
    """Whether a node calls a function."""
    return node.kind is StepKind.ACTION


class Log(Linear):
    """Writes a log record."""

    kind = StepKind.LOG


class Wait(Linear):
    """Sleeps, durably."""

    kind = StepKind.WAIT


class Pause(Linear):
    """Holds the run until somebody unblocks it."""

    kind = StepKind.PAUSE


class Approval(Node):
    """Holds the run until somebody decides. It has no plain way out."""

    kind = StepKind.APPROVAL

    @property
    def output(self) -> Decision:
        """The decision, to be wired."""
        return cast("Decision", Ref(Target(Origin.OUTPUT, node=self)))

    @property
    def on_approved(self) -> Way:
        """The way out when it is approved."""
        return Way(self, Exit.APPROVED, author())

    @property
    def on_rejected(self) -> Way:
        """The way out when it is rejected."""
        return Way(self, Exit.REJECTED, author())

    @property
    def on_timeout(self) -> Way:
        """The way out when nobody has decided before the deadline."""
        return Way(self, Exit.TIMEOUT, author())


class Unbound[**P, R]:
    """A step that still needs its inputs: call `takes`, also when there are none."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        self.function = function
        self.options = options
        self.source = author()

    def takes(self, *args: P.args, **kwargs: P.kwargs) -> Step[R]:
        """Wire the function's parameters, positionally or by name.

        A wire is a payload field, another step's `output` or `error`, `context`, `resource(T)`,
        `connection()`, `session(S)`, a JSON-able constant, or a list, tuple or dict of these.
        """
        inputs, problems = _bind(self.function, args, kwargs)
        step: Step[R] = Step(self.function, inputs, source=self.source, **self.options)
        step.problems += [Problem(message, self.source) for message in problems]
        return step

    def __repr__(self) -> str:
        return f"step({_name(self.function)})"

    # As of a node: a checker refuses these, at run time they are told with all the rest.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name in _EXITS:
                return Way(self, _EXITS[name], author())
            if name in {"output", "error"}:
                return Broken(f"{self!r} has no inputs yet: call .takes(…) on it")
            raise AttributeError(f"{self!r} has no {name!r}: call .takes(…) on it first")

        def when(self, value: Any) -> Way:
            """Not a way out of it: told as such."""
            return Way(self, Exit.WHEN, author(), value)

        def __rshift__(self, target: Any) -> Flow:
            return Way(self, Exit.OK, author()) >> target


def _name(function: object) -> str:
    return getattr(function, "__name__", repr(function))


def _bind(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The inputs by parameter name, and what of the call a spec can't hold, all of it."""
    try:
        parameters = signature_of(function).parameters
    except (TypeError, ValueError):
        return kwargs, []  # told when the function is read
    names = [p.name for p in parameters.values() if p.kind is not p.VAR_KEYWORD]
    by_position = names[: len(args)]
    problems = [_unknown(_name(function), key, names) for key in kwargs if key not in names]
    problems += [
        f"input {key!r} is given twice: leave one out" for key in by_position if key in kwargs
    ]
    if len(args) > len(names):
        problems.append(
            f"{_name(function)} takes {len(names)} inputs, not {len(args)}: leave some out"
        )
    inputs = dict(zip(by_position, args, strict=False)) | kwargs
    return {key: value for key, value in inputs.items() if key in names}, problems


def _unknown(function: str, key: str, names: Sequence[str]) -> str:
    known = f"wire one of {', '.join(names)}" if names else "it takes none, so leave it out"
    return f"{function} has no parameter {key!r}: {known}{hint(key, names)}"


@overload
def step[**P, R](
    function: Callable[P, Coroutine[Any, Any, R]],
    /,
    *,
    output: str | None = None,
    retry: Retry | None = None,
    after: Sequence[Node] = (),
    timeout: timedelta | None = None,
    queue: str | None = None,
    on_interrupt: Literal["retry", "pause", "fail"] = "retry",
    formerly: Sequence[str] = (),
) -> Unbound[P, R]: ...
@overload
def step[**P, R](
    function: Callable[P, R],
    /,
    *,
    output: str | None = None,
    retry: Retry | None = None,
    after: Sequence[Node] = (),
    timeout: timedelta | None = None,
    queue: str | None = None,
    on_interrupt: Literal["retry", "pause", "fail"] = "retry",
    formerly: Sequence[str] = (),
) -> Unbound[P, R]: ...
def step(function: Callable[..., Any], /, **options: Any) -> Unbound[..., Any]:
    """Declare a step that calls `function`: `async def`, or `def`, which runs in a thread.

    * `output`: the name of the output in a run's context; the step's own name by default.
    * `retry`: how often it is tried; once by default.
    * `after`: steps that must have completed before it, beside those it is wired to.
    * `timeout`: how long one attempt may take, from the start of the body.
    * `queue`: the Oban queue it runs in; the mesh's by default.
    * `on_interrupt`: what happens when the worker dies in the middle: try again, fail, or pause the
      step until somebody decides.
    * `formerly`: names (`"module:function"`) that earlier definitions call this function by.
    """
    for name in options.keys() - _OPTIONS:
        raise TypeError(f"step() has no option {name!r}{hint(name, _OPTIONS)}")
    if isinstance(function, staticmethod):  # not yet unwrapped in the body that defines it
        function = function.__func__
    return Unbound(function, options)


_OPTIONS = {"output", "retry", "after", "timeout", "queue", "on_interrupt", "formerly"}


def log(
    message: str,
    *,
    level: Literal["debug", "info", "warning", "error"] = "info",
    after: Sequence[Node] = (),
) -> Log:
    """Declare a step that writes `message` to the log, with the run and the step as fields."""
    return Log(after=after, message=message, level=level)


def wait(duration: timedelta, *, after: Sequence[Node] = ()) -> Wait:
    """Declare a step that sleeps for `duration`, which may come from the payload or an output."""
    return Wait(after=after, duration=duration)


def pause(*, after: Sequence[Node] = ()) -> Pause:
    """Declare a step that holds the run until `unblock_run`."""
    return Pause(after=after)


def approval(
    *,
    deadline: timedelta | None = None,
    output: str | None = None,
    after: Sequence[Node] = (),
) -> Approval:
    """Declare a step that holds the run until `approve_run` or `reject_run`.

    With a `deadline`, which may come from the payload or an output, nobody deciding in time is a
    way out of its own: `on_timeout`.
    """
    return Approval(after=after, deadline=deadline, output=output)
