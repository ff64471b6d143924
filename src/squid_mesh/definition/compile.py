"""Compiles a class body into a `Definition`, or tells everything that is wrong with it."""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

from pydantic_core import to_jsonable_python

from squid_mesh.definition import document
from squid_mesh.definition.actions import Action, Unusable, inspect_action, name_of
from squid_mesh.definition.flow import Arrow, ClosedFlow, End, Way
from squid_mesh.definition.nodes import Approval, Log, Node, Step, Unbound, Wait
from squid_mesh.definition.options import Constant as ConstantDelay
from squid_mesh.definition.options import Exponential, Retry
from squid_mesh.definition.payload import NoPayload, Payload
from squid_mesh.definition.reference import Ref
from squid_mesh.definition.spec import (
    COMPLETE,
    BackoffSpec,
    EdgeSpec,
    Exit,
    FieldSpec,
    Injected,
    PayloadSpec,
    RetrySpec,
    StepSpec,
    TriggerSpec,
    Wire,
    WorkflowSpec,
)
from squid_mesh.definition.triggers import Trigger, manual
from squid_mesh.definition.validation import findings
from squid_mesh.definition.values import Codec
from squid_mesh.definition.wiring import Scope, Unwirable
from squid_mesh.errors import Problem, Source, WorkflowDefinitionError


@dataclass(frozen=True)
class Definition:
    """A workflow as loaded: its spec, and the code that the spec names."""

    spec: WorkflowSpec
    payload: type[Payload]
    actions: Mapping[str, Action]
    """By the name of the step."""
    windows: Mapping[str, Callable[..., Any]]
    """The functions that make cron payloads, by the name of the trigger."""

    @cached_property
    def document(self) -> bytes:
        """The spec as canonical JSON."""
        return document.to_json(self.spec)

    @cached_property
    def version(self) -> str:
        """The hash of the document."""
        return document.version(self.spec)


def compile_workflow(cls: type, name: str) -> Definition:
    """The definition of a workflow class. Raises `WorkflowDefinitionError` with every problem."""
    return _Compiler(cls, name).compile()


class _Compiler:
    """Reads one class body; `problems` gathers what is wrong with it."""

    def __init__(self, cls: type, name: str) -> None:
        self.cls = cls
        self.name = name
        self.problems: list[Problem] = []
        self.actions: dict[Node, Action] = {}

    def compile(self) -> Definition:
        self._read_actions()
        spec = WorkflowSpec(
            name=self.name,
            flow=self._has_flow,
            triggers=tuple(map(self._trigger, self.triggers)),
            payload=_payload(self.payload),
            steps=tuple(map(self._step, self.nodes)),
            edges=tuple(self._edge(arrow) for arrow in self.arrows),
        )
        self._check_body()
        self.problems += [self._located(f.place, f.message) for f in findings(spec)]
        if self.problems:
            raise WorkflowDefinitionError(self.name, sorted(set(self.problems), key=_in_order))
        return Definition(
            spec,
            self.payload,
            {node.names[0]: action for node, action in self.actions.items()},
            {t.name: t.options["payload"] for t in self.triggers if t.options.get("payload")},
        )

    # what the class body holds

    @cached_property
    def payload(self) -> type[Payload]:
        """The model in `Workflow[…]`."""
        for base in getattr(self.cls, "__orig_bases__", ()):
            for argument in typing.get_args(base):
                if isinstance(argument, type) and issubclass(argument, Payload):
                    return argument
                self._tell(f"{argument!r} is no payload: write a class that extends Payload")
        return NoPayload

    @cached_property
    def nodes(self) -> list[Node]:
        return list(dict.fromkeys(v for v in vars(self.cls).values() if isinstance(v, Node)))

    @cached_property
    def triggers(self) -> list[Trigger]:
        declared = [v for v in vars(self.cls).values() if isinstance(v, Trigger)]
        if declared:
            return declared
        default = manual()
        default.name = "manual"
        return [default]

    @cached_property
    def _has_flow(self) -> bool:
        return "flow" in vars(self.cls)

    @cached_property
    def arrows(self) -> list[Arrow]:
        return [arrow for arrow in self._written if self._is_sound(arrow)]

    @cached_property
    def _written(self) -> list[Arrow]:
        flow = vars(self.cls).get("flow", ())
        parts: Sequence[Any] = flow if isinstance(flow, list | tuple) else (flow,)
        for part in parts:
            if not isinstance(part, ClosedFlow):
                self._tell(
                    f"flow holds {part!r}, which is no transition: write a >> b >> complete",
                    getattr(part, "source", None),
                )
        return [arrow for part in parts if isinstance(part, ClosedFlow) for arrow in part.arrows]

    # problems of the body itself

    def _check_body(self) -> None:
        for name, value in vars(self.cls).items():
            if isinstance(value, Unbound):
                self._tell(f"step {name!r} has no inputs yet: call .takes(…) on it", value.source)
            elif isinstance(value, Way):
                self._tell(f"{name!r} is a way out that leads nowhere: write it in flow with >>")
        for node in self.nodes:
            self.problems += node.problems
            if len(node.names) > 1:
                named = ", ".join(map(repr, node.names))
                self._tell(f"one step is assigned to several names, {named}: declare each", node)
        if self._has_flow and not self._written:
            self._tell("flow is empty: write a >> b >> complete, or remove it")

    def _is_sound(self, arrow: Arrow) -> bool:
        ends = [(arrow.node, "nothing can follow `complete`"), (arrow.target, None)]
        wrong = [self._misused(end, at_end) for end, at_end in ends]
        for message in filter(None, wrong):
            self._tell(message, arrow.source)
        return not any(wrong)

    def _misused(self, end: Any, at_end: str | None) -> str | None:
        match end:
            case End():
                return at_end
            case Node() if self.cls in end.owners:
                return None
            case Node() if end.owners:
                return f"{end!r} is a step of {end.owners[0].__name__}, not of this workflow"
            case Node():
                return f"a {end.kind} in flow has no name: assign it in the class body"
            case Unbound():
                return "a step in flow has no inputs yet: call .takes(…) on it"
            case _:
                return f"{end!r} is no step: a flow goes from step to step, or to `complete`"

    # from what was written to the spec

    def _read_actions(self) -> None:
        for node in self.nodes:
            if isinstance(node, Step):
                try:
                    self.actions[node] = inspect_action(node.function)
                except Unusable as error:
                    for reason in error.reasons:
                        self._tell(reason, node)

    def _trigger(self, trigger: Trigger) -> TriggerSpec:
        options = trigger.options
        payload = options.get("payload")
        if trigger.kind == "cron" and payload is None:
            required = [f.name for f in _payload(self.payload).fields if f.required]
            if required:
                self._tell(
                    f"cron trigger {trigger.name!r} must make {', '.join(required)} of its payload: "
                    "give the fields defaults, or write payload=function_of_the_window",
                    trigger.source,
                )
        if payload is not None and (reason := _unnamed(payload)):
            self._tell(f"cron trigger {trigger.name!r}: payload={reason}", trigger.source)
        return TriggerSpec(
            trigger.name,
            trigger.kind,
            **(options | {"payload": None if payload is None else name_of(payload)}),
        )

    def _step(self, node: Node) -> StepSpec:
        name = node.names[0]
        options = self._plain(node)
        spec: dict[str, Any] = {
            "name": name,
            "kind": node.kind,
            "output": options.get("output") or name,
            "after": self._after(node),
        }
        match node:
            case Step():
                inputs = self._inputs(node)
                action = self.actions.get(node)
                injected = frozenset(k for k, wire in inputs.items() if isinstance(wire, Injected))
                spec |= {"inputs": inputs, "action": action and action.spec(injected)}
                spec |= self._step_options(node, options)
            case Log():
                spec |= {"message": options["message"], "level": options["level"]}
            case Wait():
                spec["duration"] = self._delay(node, "duration")
            case Approval():
                spec["deadline"] = self._delay(node, "deadline")
            case _:
                pass
        return StepSpec(**spec)

    def _plain(self, node: Node) -> dict[str, Any]:
        """The node's options without those that hold a reference and may not."""
        plain: dict[str, Any] = {}
        for option, value in node.options.items():
            if isinstance(value, Ref) and option not in _REFERABLE:
                self._tell(
                    f"{option} of {node!r} takes no reference: it is the same for every run. "
                    "Only a wait's duration, an approval's deadline and inputs are wired",
                    node,
                )
                plain[option] = _STAND_INS.get(option)
            else:
                plain[option] = value
        return plain

    def _inputs(self, node: Step[Any]) -> dict[str, Wire]:
        action = self.actions.get(node)
        wires: dict[str, Wire] = {}
        for name, value in node.inputs.items():
            parameter = action.parameters.get(name) if action else None
            codec = parameter.codec if parameter else Codec(Any)
            try:
                wires[name] = self._scope.wire(value, codec)
            except Unwirable as error:
                self._tell_unwirable(f"input {name!r} of {node!r}", error, node)
        return wires

    @cached_property
    def _scope(self) -> Scope:
        outputs = {node: action.output.annotation for node, action in self.actions.items()}
        return Scope(self.cls, self.payload, outputs)

    def _delay(self, node: Node, option: str) -> Wire | None:
        value = node.options[option]
        if value is None:
            return None
        try:
            return self._scope.wire(value, Codec(timedelta))
        except Unwirable as error:
            self._tell_unwirable(f"{option} of {node!r}", error, node)
            return self._scope.wire(timedelta(seconds=1), Codec(timedelta))

    def _after(self, node: Node) -> tuple[str, ...]:
        after = node.after
        if not isinstance(after, list | tuple):
            self._tell(f"{node!r} defines an invalid after=: write after=[step, …]", node)
            return ()
        for other in after:
            if not isinstance(other, Node) or self.cls not in other.owners:
                self._tell(
                    f"{node!r} depends on {other!r}, which is no step of this workflow: "
                    "write after=[step, …]",
                    node,
                )
        named = [n.names[0] for n in after if isinstance(n, Node) and self.cls in n.owners]
        return tuple(dict.fromkeys(named))

    def _step_options(self, node: Node, options: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "retry": self._retry(node, options.get("retry")),
            "timeout": self._timeout(node, options.get("timeout")),
            "queue": self._option(node, options, "queue", str),
            "on_interrupt": self._choice(node, options),
            "formerly": self._formerly(node, options.get("formerly", ())),
        }

    def _retry(self, node: Node, retry: Any) -> RetrySpec | None:
        if retry is None:
            return None
        if not isinstance(retry, Retry) or not isinstance(retry.max_attempts, int):
            self._tell(f"retry of {node!r} is {retry!r}: write Retry(max_attempts=3)", node)
            return None
        return RetrySpec(
            retry.max_attempts,
            self._backoff(node, retry.backoff),
            retry.jitter,
            tuple(name_of(kind) for kind in retry.stop_on),
        )

    def _backoff(self, node: Node, backoff: Any) -> BackoffSpec | None:
        match backoff:
            case None:
                return None
            case Exponential(timedelta() as least, timedelta() as most):
                return BackoffSpec(least.total_seconds(), most.total_seconds())
            case ConstantDelay(timedelta() as delay):
                return BackoffSpec(delay.total_seconds(), delay.total_seconds())
            case _:
                self._tell(
                    f"backoff of {node!r} is {backoff!r}: write "
                    "Exponential(timedelta(seconds=1), timedelta(minutes=1))",
                    node,
                )
                return None

    def _timeout(self, node: Node, timeout: Any) -> float | None:
        if timeout is None or isinstance(timeout, timedelta):
            return None if timeout is None else timeout.total_seconds()
        self._tell(f"timeout of {node!r} is {timeout!r}: write timedelta(seconds=30)", node)
        return None

    def _option(self, node: Node, options: Mapping[str, Any], name: str, kind: type) -> Any:
        value = options.get(name)
        if value is None or isinstance(value, kind):
            return value
        self._tell(f"{name} of {node!r} is {value!r}: write a {kind.__name__}", node)
        return None

    def _choice(self, node: Node, options: Mapping[str, Any]) -> Any:
        value = options.get("on_interrupt", "retry")
        if value in {"retry", "pause", "fail"}:
            return value
        self._tell(f"on_interrupt of {node!r} is {value!r}: write 'retry', 'pause' or 'fail'", node)
        return "retry"

    def _formerly(self, node: Node, names: Any) -> tuple[str, ...]:
        if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
            return tuple(names)
        self._tell(f'formerly of {node!r} is {names!r}: write ("module:function",)', node)
        return ()

    def _edge(self, arrow: Arrow) -> EdgeSpec:
        target = COMPLETE if isinstance(arrow.target, End) else arrow.target.names[0]
        value = _case(arrow.value) if arrow.on is Exit.WHEN else None
        return EdgeSpec(arrow.node.names[0], arrow.on, target, value)

    # telling

    def _tell(self, message: str, where: Node | Source | None = None) -> None:
        source = where.source if isinstance(where, Node) else where
        self.problems.append(Problem(message, source or self._source))

    def _tell_unwirable(self, what: str, error: Unwirable, node: Node) -> None:
        match error.message:
            case Problem(message, source):
                self.problems.append(Problem(f"{what}: {message}", source))
            case message:
                self._tell(f"{what}: {message}", node)

    @cached_property
    def _source(self) -> Source:
        """The class itself, for what no line of its body is to blame for."""
        first = [*self._sources.values()]
        return self._class_source or (first[0] if first else Source("?", 0))

    @cached_property
    def _class_source(self) -> Source | None:
        line = vars(self.cls).get("__firstlineno__")  # Python 3.13
        module = sys.modules.get(self.cls.__module__)
        file = getattr(module, "__file__", None)
        return Source(file, line) if line and file else None

    @cached_property
    def _sources(self) -> dict[Any, Source]:
        return {
            **{("step", node.names[0]): node.source for node in self.nodes},
            **{("trigger", trigger.name): trigger.source for trigger in self.triggers},
            **{("edge", index): arrow.source for index, arrow in enumerate(self.arrows)},
        }

    def _located(self, place: Any, message: str) -> Problem:
        return Problem(message, self._sources.get(place, self._source))


_REFERABLE = frozenset({"duration", "deadline"})
_STAND_INS: dict[str, Any] = {
    "message": "…",
    "level": "info",
    "on_interrupt": "retry",
    "formerly": (),
}
"""What takes the place of a refused option, so that it isn't told twice."""


def _payload(model: type[Payload]) -> PayloadSpec:
    fields = []
    for name, info in model.model_fields.items():
        codec = Codec(info.rebuild_annotation())
        fields.append(FieldSpec(name, info.is_required(), codec.digest, codec.secret))
    return PayloadSpec(name_of(model), tuple(fields))


def _case(value: Any) -> Any:
    return to_jsonable_python(value, fallback=repr)


def _unnamed(function: Any) -> str | None:
    """Why a function can't be found again by name, or None."""
    qualname = getattr(function, "__qualname__", "<partial>")
    return f"{function!r}: write a function of a module" if "<" in qualname else None


def _in_order(problem: Problem) -> tuple[str, int, str]:
    source = problem.source
    return (source.file, source.line, problem.message) if source else ("", 0, problem.message)
