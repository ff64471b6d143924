"""Compiles a class body into a `Definition`, or tells everything that is wrong with it."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

from squid_mesh.definition import document
from squid_mesh.definition.actions import (
    Action,
    Unusable,
    inspect_action,
    name_of,
    signature_of,
    unnameable,
)
from squid_mesh.definition.annotations import show
from squid_mesh.definition.body import Body
from squid_mesh.definition.flow import Arrow, End
from squid_mesh.definition.nodes import Approval, Log, Node, Step, Wait, is_step
from squid_mesh.definition.payload import NoPayload, Payload
from squid_mesh.definition.report import Report
from squid_mesh.definition.settings import Settings
from squid_mesh.definition.spec import (
    COMPLETE,
    ActionSpec,
    Constant,
    EdgeSpec,
    Exit,
    FieldSpec,
    Injected,
    ParameterSpec,
    PayloadSpec,
    StepSpec,
    TriggerSpec,
    Wire,
    WorkflowSpec,
)
from squid_mesh.definition.surroundings import Inject
from squid_mesh.definition.transactional import misfit
from squid_mesh.definition.triggers import Trigger
from squid_mesh.definition.validation import Finding, Place, findings_of_graph, findings_of_parts
from squid_mesh.definition.values import Codec, Unstorable
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


def compile_workflow(cls: type, name: str, payload: object, source: Source) -> Definition:
    """The definition of a workflow class. Raises `WorkflowDefinitionError` with every problem.

    `payload` is what stands in `Workflow[…]`, `source` the line of the class.
    """
    return _Compiler(cls, name, payload, Report(source)).compile()


class _Compiler:
    """Reads one class body into a spec; the report gathers what is wrong with it."""

    def __init__(self, cls: type, name: str, payload: object, report: Report) -> None:
        self.cls = cls
        self.name = name
        self.report = report
        if not _is_name(name):
            report.tell(f'the workflow is named {name!r}: write text, name="refunds"')
        self.body = Body(cls, report)
        self.payload = self._payload_class(payload)
        self.actions = {n: a for n in self.body.nodes if (a := self._action(n)) is not None}
        self.scope = Scope(
            cls, self.payload, {n: a.output.annotation for n, a in self.actions.items()}
        )

    def compile(self) -> Definition:
        self.body.check()
        spec = WorkflowSpec(
            name=str(self.name),
            flow=self.body.has_flow,
            triggers=tuple(map(self._trigger, self.body.triggers)),
            payload=self._payload,
            steps=tuple(map(self._step, self.body.nodes)),
            edges=tuple(map(_edge, self.body.arrows)),
        )
        for finding in self._findings(spec):
            self.report.tell(finding.message, self._sources.get(finding.place))
        if self.report.problems:
            raise WorkflowDefinitionError(self.name, self.report.problems)
        return Definition(
            spec,
            self.payload,
            {node.name: action for node, action in self.actions.items()},
            {t.name: t.options["payload"] for t in self.body.triggers if t.options.get("payload")},
        )

    def _findings(self, spec: WorkflowSpec) -> list[Finding]:
        """What rules find. The graph is looked at only if nothing of it is missing."""
        found = findings_of_parts(spec)
        return found + findings_of_graph(spec) if self.body.is_whole else found

    @cached_property
    def _sources(self) -> dict[Place, Source]:
        """Where each place of the spec was written."""
        return {
            ("flow", ""): self.body.flow_source,
            **{("step", node.name): node.source for node in self.body.nodes},
            **{("trigger", trigger.name): trigger.source for trigger in self.body.triggers},
            **{("edge", index): arrow.source for index, arrow in enumerate(self.body.arrows)},
        }

    def _tell(self, problem: str | Problem, node: Node | Trigger, what: str = "") -> None:
        """Report a problem, on its own line if it has one, else on the declaration's."""
        told = problem if isinstance(problem, Problem) else Problem(problem)
        self.report.tell(what + told.message, told.source or node.source)

    # payload and triggers

    def _payload_class(self, payload: Any) -> type[Payload]:
        if isinstance(payload, type) and issubclass(payload, Payload):
            payload.model_rebuild(raise_errors=False)  # of types that were declared after it
            return payload
        name = show(payload)
        self.report.tell(f"{name} is no payload: write class {name}(Payload)")
        return NoPayload

    @cached_property
    def _payload(self) -> PayloadSpec:
        fields: list[FieldSpec] = []
        for name, info in self.payload.model_fields.items():
            codec = Codec(info.rebuild_annotation())
            if (why := codec.check()) is not None:
                self.report.tell(f"payload field {name!r}: {why}: write a type of plain data")
            elif (why := _misfit_of_default(info, codec)) is not None:
                self.report.tell(
                    f"payload field {name!r} defines an invalid default, which {why}: "
                    "write one of its own type"
                )
            else:
                fields.append(FieldSpec(name, info.is_required(), codec.digest, codec.secret))
        return PayloadSpec(name_of(self.payload), tuple(fields))

    def _trigger(self, trigger: Trigger) -> TriggerSpec:
        if trigger.kind == "manual":
            return TriggerSpec(trigger.name, "manual")
        options = trigger.options
        maker = options["payload"]
        for problem in self._window_problems(maker):
            self._tell(problem, trigger, f"cron {trigger!r}: ")
        return TriggerSpec(
            trigger.name,
            "cron",
            expression=_text(options["expression"]),
            timezone=_text(options["timezone"]),
            payload=None if maker is None else name_of(maker),
            missed=options["missed"],
            max_missed=options["max_missed"],
        )

    def _window_problems(self, maker: Any) -> list[str]:
        """What is wrong with the function that makes a window's payload."""
        if maker is None:
            required = [field.name for field in self._payload.fields if field.required]
            if not required:
                return []
            fields = ", ".join(required)
            return [f"nothing makes {fields} of its payload: give defaults, or write payload=…"]
        if (reason := unnameable(maker)) is not None:
            return [f"payload={reason}"]
        return _misfits(maker, self.payload)

    # steps

    def _action(self, node: Node) -> Action | None:
        if not is_step(node):
            return None
        try:
            return inspect_action(node.function)
        except Unusable as error:
            for reason in error.reasons:
                self._tell(reason, node)
            return None

    def _step(self, node: Node) -> StepSpec:
        for problem in node.problems:
            self._tell(problem, node)
        settings = Settings(node, self.report)
        spec: dict[str, Any] = {
            "name": node.name,
            "kind": node.kind,
            "output": settings.output(),
            "after": settings.after(self.cls),
        }
        match node:
            case _ if is_step(node):
                spec |= self._called(node, settings)
            case Log():
                spec |= {"message": settings.message(), "level": settings.level()}
            case Wait():
                spec |= {"duration": self._delay(node, "duration")}
            case Approval():
                spec |= {"deadline": self._delay(node, "deadline")}
            case _:
                pass
        return StepSpec(**spec)

    def _called(self, node: Step[Any], settings: Settings) -> dict[str, Any]:
        inputs = self._inputs(node)
        return {
            "inputs": inputs,
            "action": self._action_spec(node, inputs),
            "retry": settings.retry(),
            "timeout": settings.timeout(),
            "queue": settings.queue(),
            "on_interrupt": settings.on_interrupt(),
            "formerly": settings.formerly(),
        }

    def _action_spec(self, node: Step[Any], inputs: Mapping[str, Wire]) -> ActionSpec:
        """The action as it is pinned; a stand-in for one that is reported already."""
        if (action := self.actions.get(node)) is None:
            parameters = tuple(ParameterSpec(name, required=False) for name in inputs)
            return ActionSpec("reported:already", parameters, cases=None)
        return action.spec(frozenset(k for k, w in inputs.items() if isinstance(w, Injected)))

    def _inputs(self, node: Step[Any]) -> dict[str, Wire]:
        action = self.actions.get(node)
        return {
            name: self._input(node, name, value, action) or Injected("context")
            for name, value in node.inputs.items()
        }  # about the stand-in no rule has anything to tell

    def _input(self, node: Step[Any], name: str, value: Any, action: Action | None) -> Wire | None:
        """The wire to a parameter, None when it is reported."""
        codec = action.parameters[name].codec if action else Codec(Any)
        what = f"input {name!r}"
        wire = self._wire(node, what, value, codec)
        if action is None or wire is None or not isinstance(value, Inject):
            return wire
        if (why := misfit(value, codec.annotation, is_async=action.is_async)) is not None:
            self._tell(why, node, f"{what} of {node!r}: ")
            return None
        return wire

    def _delay(self, node: Node, option: str) -> Wire | None:
        if (value := node.options[option]) is None:
            return None
        return self._wire(node, option, value, Codec(timedelta)) or Constant("PT1S")

    def _wire(self, node: Node, what: str, value: Any, codec: Codec) -> Wire | None:
        """The wire, None when it is reported."""
        try:
            return self.scope.wire(value, codec)
        except Unwirable as error:
            self._tell(error.problem, node, f"{what} of {node!r}: ")
            return None


def _is_name(name: object) -> bool:
    return isinstance(name, str) and bool(name.strip())


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _misfit_of_default(field: FieldInfo, codec: Codec) -> str | None:
    """Why a field's default isn't of its type. Pydantic would take it, and each start refuse it."""
    if field.validate_default or field.default is PydanticUndefined:
        return None
    try:
        codec.dump(field.default)
    except Unstorable as error:
        return str(error)
    return None


def _misfits(maker: Callable[..., Any], payload: type[Payload]) -> list[str]:
    """Why a function can't make this payload from a window."""
    name = name_of(maker)
    try:
        signature_of(maker).bind(None)
    except (TypeError, ValueError):
        return [
            f"payload={name} must take one argument: write def {maker.__name__}(window: Window)"
        ]
    made = _return_annotation(maker)
    if isinstance(made, type) and issubclass(made, Payload) and not issubclass(made, payload):
        return [f"payload={name} makes {made.__name__}: write one that makes {payload.__name__}"]
    return []


def _return_annotation(function: Callable[..., Any]) -> Any:
    try:
        return typing.get_type_hints(function).get("return")
    except NameError:  # of a name known to a type checker only
        return None


def _edge(arrow: Arrow) -> EdgeSpec:
    target = COMPLETE if isinstance(arrow.target, End) else arrow.target.name
    value = to_jsonable_python(arrow.value, fallback=repr) if arrow.on is Exit.WHEN else None
    return EdgeSpec(arrow.node.name, arrow.on, target, value)
