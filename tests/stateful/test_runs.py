"""Random workflows under random commands: after each, the database is what the engine predicts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from squid_mesh import (
    InvalidPayload,
    InvalidRunId,
    InvalidTransition,
    InvalidTrigger,
    KeyConflict,
    Mesh,
    NoPayload,
    RunNotFound,
    UnknownWorkflow,
    Workflow,
    step,
)
from squid_mesh.engine.states import RunStatus
from squid_mesh.errors import NotOpen
from tests.stateful.conductor import OUTPUTS, Delivery, How
from tests.stateful.playing import CI, Theatre
from tests.stateful.stage import LOSSES, Known, Node, Stage
from tests.stateful.workflows import Number, Shape, gated_shapes, shapes

FINAL = {RunStatus.COMPLETED, RunStatus.FAILED}


def of(choose: Callable[[Stage], list[Any]]) -> st.SearchStrategy[Any]:
    """One of what there is now."""
    return st.runner().flatmap(lambda machine: st.sampled_from(choose(machine.stage)))


def when(holds: Callable[[Stage], object]) -> Callable[[Any], Any]:
    """When a rule can be played."""
    return precondition(lambda machine: bool(holds(machine.stage)))


def _bodies(stage: Stage) -> list[Delivery]:
    return stage.live


def _open(stage: Stage) -> list[Node]:
    return stage.open


def _busy(stage: Stage) -> list[Node]:
    return [node for node in stage.open if any(d.boot == node.boot for d in stage.live)]


def _closed(stage: Stage) -> list[Node]:
    return [node for node in stage.nodes if not node.is_open]


def _runs(stage: Stage) -> list[Any]:
    return list(stage.models)


def _cancellable(stage: Stage) -> list[Any]:
    return [run_id for run_id, m in stage.models.items() if m.status not in FINAL]


def _ended(stage: Stage) -> list[Any]:
    return [run_id for run_id, m in stage.models.items() if m.status in FINAL]


def _jobs(stage: Stage) -> list[Known]:
    return list(stage.jobs.values())


def _with_siblings(stage: Stage) -> list[Delivery]:
    return [
        d
        for d in stage.live
        if stage.holds(d)
        and not stage.models[d.job.run_id].definition.spec.flow
        and len(stage.siblings(d)) > 1
    ]


def _forked(stage: Stage) -> list[Any]:
    """Graphs of which several steps are under way or are to begin."""
    steps = [job.run_id for job in stage.to_come()] + [d.job.run_id for d in stage.live]
    graphs = [r for r, m in stage.models.items() if not m.definition.spec.flow]
    return [run_id for run_id in graphs if steps.count(run_id) > 1]


def _begun(stage: Stage) -> list[Any]:
    return [run_id for run_id in _cancellable(stage) if stage.models[run_id].run.begun]


def _gates(stage: Stage) -> list[Any]:
    return [(run_id, step) for run_id, m in stage.models.items() for step in m.gates]


def _broken(stage: Stage) -> list[Any]:
    return [(run_id, step) for run_id, m in stage.models.items() for step in m.broken]


def _undecidable(stage: Stage) -> list[Any]:
    return [run_id for run_id, m in stage.models.items() if not m.gates and not m.broken]


NODES = of(_open)
RESOLUTIONS = ("retry", "complete", "fail")
HOWS = st.sampled_from([*OUTPUTS, *OUTPUTS, *How])
THEN = st.lists(HOWS, max_size=3)
KEYS = st.sampled_from([None, None, "a key", "another"])


async def unheard() -> None: ...


class Unknown(Workflow[NoPayload]):
    work = step(unheard).takes()


type Call = Callable[[Mesh], Awaitable[object]]


class Machine(RuleBasedStateMachine):
    """Plays one example. `theatre` is where."""

    theatre: ClassVar[Theatre]
    stage: Stage
    is_sound = True
    SHAPES: ClassVar[st.SearchStrategy[Shape]] = shapes()
    EXAMPLES: ClassVar[int] = 120

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        drawn = data.draw(st.lists(self.SHAPES, min_size=1, max_size=2))

        async def make() -> Stage:
            stage = Stage(self.theatre.pool, self.theatre.admin, drawn)
            await stage.open_mesh(stage.nodes[0])
            await stage.start(0, 0, None, stage.nodes[0])
            await stage.find_jobs()
            return stage

        self.stage = self.theatre.run(make())

    def _play(self, playing: Coroutine[Any, Any, None]) -> None:
        self.is_sound = False
        self.theatre.run(playing)
        self.is_sound = True

    @invariant()
    def the_database_is_what_the_engine_predicts(self) -> None:
        self._play(self.stage.check())

    def teardown(self) -> None:
        if not hasattr(self, "stage"):
            return
        try:
            if self.is_sound:  # else the first failure is the one to tell
                self._play(self.stage.go_on_to_the_end())
        finally:
            self._play(self.stage.close())

    # starting

    @when(_open)
    @rule(workflow=st.integers(0, 1), number=st.integers(0, 1), key=KEYS, node=NODES)
    def start(self, workflow: int, number: int, key: str | None, node: Node) -> None:
        workflow %= len(self.stage.workflows)
        held = self.stage.keys.get((workflow, key or ""))
        if held is not None and held[1] != number:
            payload = Number(number=number)
            cls = self.stage.workflows[workflow]
            self._refuse(KeyConflict, lambda mesh: mesh.start_run(cls, payload, key=key), node)
        else:
            self._play(self.stage.start(workflow, number, key, node))

    @when(_open)
    @rule(workflow=st.integers(0, 1), count=st.integers(0, 2), node=NODES, commit=st.booleans())
    def start_with_host(self, workflow: int, count: int, node: Node, *, commit: bool) -> None:
        workflow %= len(self.stage.workflows)
        self._play(self.stage.start_with_host(workflow, count, node, commit=commit))

    # jobs and bodies

    @when(lambda stage: stage.open and stage.to_come())
    @rule(job=of(Stage.to_come), node=NODES, then=THEN)
    def deliver(self, job: Known, node: Node, then: list[How]) -> None:
        self._play(self.stage.deliver(job, node, then))

    @when(lambda stage: stage.open and stage.to_come())
    @rule(data=st.data(), then=THEN)
    def deliver_all(self, data: st.DataObject, then: list[How]) -> None:
        for job in self.stage.to_come():
            node = data.draw(st.sampled_from(self.stage.open))
            self._play(self.stage.deliver(job, node, then))

    @when(lambda stage: stage.open and stage.jobs)
    @rule(job=of(_jobs), node=NODES)
    def deliver_again_or_early(self, job: Known, node: Node) -> None:
        self._play(self.stage.deliver(job, node, []))

    @when(_jobs)
    @rule(job=of(_jobs), how=st.sampled_from(LOSSES))
    def lose_a_job(self, job: Known, how: str) -> None:
        self._play(self.stage.lose(job, how))

    @when(_bodies)
    @rule(body=of(_bodies), how=HOWS, then=THEN)
    def finish(self, body: Delivery, how: How, then: list[How]) -> None:
        self._play(self.stage.go_on(body, [how, *then]))

    @when(lambda stage: stage.open and _forked(stage))
    @rule(run=of(_forked), how=st.sampled_from(OUTPUTS), nodes=st.lists(NODES, min_size=4))
    def complete_together(self, run: Any, how: How, nodes: list[Node]) -> None:
        jobs = [job for job in self.stage.to_come() if job.run_id == run]
        for job, node in zip(jobs, nodes, strict=False):
            self._play(self.stage.deliver(job, node, []))
        for body in _with_siblings(self.stage)[:1]:
            self._play(self.stage.finish_together(self.stage.siblings(body), how))

    @when(_bodies)
    @rule(body=of(_bodies))
    def drop(self, body: Delivery) -> None:
        self._play(self.stage.drop(body))

    # time and processes

    @when(lambda stage: any(m.due for m in stage.models.values()))
    @rule(ticks=st.sampled_from([1, 2, 11]))
    def pass_time(self, ticks: int) -> None:
        self._play(self.stage.pass_time(ticks))

    @when(_open)
    @rule(node=NODES)
    def sweep(self, node: Node) -> None:
        self._play(self.stage.sweep(node))

    @when(_open)
    @rule(node=NODES, column=st.sampled_from(["alive_at", "loop_at"]))
    def silence_or_revive(self, node: Node, column: str) -> None:
        if node.is_silent:
            self._play(self.stage.revive(node))
        else:
            self._play(self.stage.silence(node, column))

    @when(_closed)
    @rule(node=of(_closed))
    def open_mesh(self, node: Node) -> None:
        call: Call = lambda mesh: mesh.start_run(self.stage.workflows[0], Number())  # noqa: E731
        self._refuse(NotOpen, call, node)
        self._play(self.stage.open_mesh(node))

    @when(_busy)
    @rule(node=of(_busy), how=st.none() | HOWS)
    def close_mesh(self, node: Node, how: How | None) -> None:
        self._play(self.stage.close_mesh(node, how))

    @when(_busy)
    @rule(node=of(_busy), how=HOWS)
    def drain_mesh(self, node: Node, how: How) -> None:
        self._play(self.stage.drain_mesh(node, how))

    @when(lambda stage: stage.live and not stage.is_broken)
    @rule()
    def break_connections(self) -> None:
        self._play(self.stage.break_connections())

    # deciding

    @when(lambda stage: stage.open and _gates(stage))
    @rule(gate=of(_gates), node=NODES)
    def unblock(self, gate: tuple[Any, str], node: Node) -> None:
        self._play(self.stage.unblock(gate, node))

    @when(lambda stage: stage.open and _broken(stage))
    @rule(step=of(_broken), how=st.sampled_from(RESOLUTIONS), node=NODES)
    def resolve(self, step: tuple[Any, str], how: str, node: Node) -> None:
        self._play(self.stage.resolve(step, how, node))

    @when(lambda stage: stage.open and _undecidable(stage))
    @rule(run=of(_undecidable), node=NODES)
    def decide_what_waits_for_nobody(self, run: Any, node: Node) -> None:
        self._refuse(InvalidTransition, lambda mesh: mesh.unblock_run(run), node)
        self._refuse(InvalidTransition, lambda mesh: mesh.approve_run(run, actor="a"), node)

    # cancelling

    @when(lambda stage: stage.open and _cancellable(stage))
    @rule(run=of(_cancellable), node=NODES)
    def cancel(self, run: Any, node: Node) -> None:
        self._play(self.stage.cancel(run, node))

    @when(lambda stage: stage.open and _begun(stage))
    @rule(run=of(_begun), node=NODES, how=HOWS, commit=st.booleans())
    def cancel_with_host(self, run: Any, node: Node, how: How, *, commit: bool) -> None:
        self._play(self.stage.cancel_with_host(run, node, how, commit=commit))

    # what isn't allowed

    def _refuse(self, error: type[Exception], call: Call, node: Node) -> None:
        self._play(self.stage.refuses(error, call, node))

    @when(lambda stage: stage.open and _ended(stage))
    @rule(run=of(_ended), node=NODES)
    def cancel_what_has_ended(self, run: Any, node: Node) -> None:
        self._refuse(InvalidTransition, lambda mesh: mesh.cancel_run(run), node)

    @when(_open)
    @rule(node=NODES, call=st.sampled_from(["cancel_run", "inspect_run"]))
    def ask_for_what_is_not_there(self, node: Node, call: str) -> None:
        self._refuse(RunNotFound, lambda mesh: getattr(mesh, call)(uuid4()), node)
        self._refuse(InvalidRunId, lambda mesh: getattr(mesh, call)("no run"), node)

    @when(_open)
    @rule(node=NODES)
    def start_what_is_wrong(self, node: Node) -> None:
        cls = self.stage.workflows[0]
        wrong: list[tuple[type[Exception], Call]] = [
            (InvalidPayload, lambda mesh: mesh.start_run(cls, {"number": "many"})),
            (InvalidPayload, lambda mesh: mesh.start_runs(cls, [{}, {"name": "x"}])),
            (InvalidTrigger, lambda mesh: mesh.start_run(cls, trigger="nightly")),
            (UnknownWorkflow, lambda mesh: mesh.start_run(Unknown)),
        ]
        for error, call in wrong:
            self._refuse(error, call, node)


class Gates(Machine):
    """Plays workflows that mostly wait for people."""

    SHAPES = gated_shapes()
    EXAMPLES = 60

    @when(lambda stage: stage.open and stage.to_come())
    @rule(node=NODES, resolutions=st.lists(st.sampled_from(RESOLUTIONS), min_size=5))
    def interrupt_all(self, node: Node, resolutions: list[str]) -> None:
        """Begin what there is, forget it in the middle, and decide about it one by one."""
        for job in self.stage.to_come():
            self._play(self.stage.deliver(job, node, []))
        for body in [d for d in self.stage.live if d.boot == node.boot]:
            self._play(self.stage.drop(body))
        self._play(self.stage.sweep(node))
        for broken, how in zip(_broken(self.stage), resolutions, strict=False):
            if broken in _broken(self.stage):  # to give up one may end the others
                self._play(self.stage.resolve(broken, how, node))

    @when(lambda stage: stage.open and stage.to_come())
    @rule(node=NODES, elsewhere=NODES)
    def unblock_all(self, node: Node, elsewhere: Node) -> None:
        """Get to the gates, and let all of them go."""
        for job in self.stage.to_come():
            self._play(self.stage.deliver(job, node, []))
        for gate in _gates(self.stage):
            self._play(self.stage.unblock(gate, elsewhere))


@pytest.mark.parametrize("machine", [Machine, Gates])
def test_the_database_does_what_the_engine_predicts(
    theatre: Theatre, machine: type[Machine]
) -> None:
    machine.theatre = theatre
    run_state_machine_as_test(machine, settings=settings(CI, max_examples=machine.EXAMPLES))
