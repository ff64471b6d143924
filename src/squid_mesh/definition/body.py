"""The body of a workflow class while it is read, and what its author wrote there."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, cast

from squid_mesh.definition.flow import Arrow, ClosedFlow, End, Way
from squid_mesh.definition.nodes import Node, Unbound
from squid_mesh.definition.report import Report
from squid_mesh.definition.source import author
from squid_mesh.definition.triggers import Trigger
from squid_mesh.errors import Source


class Namespace(dict[str, Any]):
    """What a class body assigns to: remembers on which line, and what it has assigned over."""

    def __init__(self) -> None:
        super().__init__()
        self.source = author()
        self.sources: dict[str, Source] = {}
        self.replaced: list[tuple[str, Node | Trigger]] = []
        super().__setitem__(SELF, self)

    def __setitem__(self, name: str, value: Any) -> None:
        before = self.get(name)
        if isinstance(before, Node | Trigger) and before is not value:
            self.replaced.append((name, before))
        self.sources[name] = author()
        super().__setitem__(name, value)


SELF = "__namespace__"
"""Where a class finds the namespace that it was made of."""


class WorkflowType(type):
    """The metaclass of `Workflow`: its bodies are written into a `Namespace`."""

    @classmethod
    def __prepare__(cls, name: str, bases: tuple[type, ...], /, **options: Any) -> Namespace:
        """Begin a class body."""
        return Namespace()


class Body:
    """The declarations of one class body. Reports those that are none."""

    def __init__(self, cls: type, report: Report) -> None:
        self.cls = cls
        self.report = report
        self.declared: dict[str, Any] = dict(vars(cls))
        self.has_flow = "flow" in self.declared
        self.nodes = self._all(Node)
        self.triggers = self._all(Trigger) or [Trigger("manual")]
        self.is_whole = True
        """Whether nothing is missing from the graph because it was reported."""
        self.arrows = [arrow for arrow in self._written() if self._is_sound(arrow)]

    def _all[D: Node | Trigger](self, kind: type[D]) -> list[D]:
        return list(dict.fromkeys(v for v in self.declared.values() if isinstance(v, kind)))

    @cached_property
    def _namespace(self) -> Namespace:
        return cast("Namespace", self.declared.setdefault(SELF, Namespace()))

    def check(self) -> None:
        """Report what is wrong with the declarations by themselves."""
        self._check_names()
        for name, value in self.declared.items():
            if isinstance(value, Unbound):
                message = f"step {name!r} has no inputs yet: call .takes(…) on it"
                self.report.tell(message, self._namespace.sources.get(name))
            elif isinstance(value, Way | ClosedFlow) and name != "flow":
                self.report.tell(
                    f"{name!r} is a transition, which leads nowhere here: write it in flow",
                    self._namespace.sources.get(name),
                )

    def _check_names(self) -> None:
        for name, before in self._namespace.replaced:
            self.report.tell(
                f"{name!r} is declared here, and again on a later line: give one another name",
                before.source,
            )
        declarations: list[Node | Trigger] = [*self.nodes, *self.triggers]
        for declared in declarations:
            if len(declared.names) > 1:
                names = ", ".join(map(repr, declared.names))
                self.report.tell(
                    f"{declared!r} is assigned to several names, {names}: declare each by itself",
                    declared.source,
                )

    # the flow

    @property
    def flow_source(self) -> Source:
        """The line of the flow, or of the class where there is none."""
        return self._namespace.sources.get("flow", self._namespace.source)

    def _written(self) -> list[Arrow]:
        flow = self.declared.get("flow", ())
        parts = cast("Sequence[Any]", flow if isinstance(flow, list | tuple) else (flow,))
        arrows: list[Arrow] = []
        for part in parts:
            if isinstance(part, ClosedFlow):
                arrows += part.arrows
            else:
                self.is_whole = False
                self.report.tell(_no_transition(part), getattr(part, "source", self.flow_source))
        return arrows

    def _is_sound(self, arrow: Arrow) -> bool:
        after_end = "nothing can follow `complete`: end the transition there"
        wrong = [self._misused(arrow.node, after_end), self._misused(arrow.target, None)]
        for message in filter(None, wrong):
            self.is_whole = False
            self.report.tell(message, arrow.source)
        return not any(wrong)

    def _misused(self, end: Any, at_end: str | None) -> str | None:
        match end:
            case End():
                return at_end
            case Node():
                return self._misused_node(end)
            case Unbound():
                return "a step in flow has no inputs yet: call .takes(…) on it"
            case Way():
                return "a transition leads to a way out: write >> to a step, or to `complete`"
            case ClosedFlow():
                return "a transition leads to a transition: write a >> b >> c without parentheses"
            case _:
                return f"{end!r} is no step: write a >> b, or a >> complete"

    def _misused_node(self, node: Node) -> str | None:
        if self.cls in node.owners:
            return None
        if node.owners:
            owner = node.owners[0].__name__
            return f"{node!r} is a step of {owner}, not of this workflow: declare it here too"
        return f"{node!r} stands in flow: assign it to a name in the class body, and use that"


def _no_transition(part: Any) -> str:
    match part:
        case Node():
            return f"flow holds {part!r} alone: write {part.name} >> complete"
        case Way():
            return "flow holds a way out that leads nowhere: write >> and a step after it"
        case _:
            return f"flow holds {part!r}, which is no transition: write a >> b >> complete"
