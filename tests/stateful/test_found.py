"""What random examples have found, played again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from tests.stateful.conductor import How
from tests.stateful.playing import Theatre
from tests.stateful.stage import Stage
from tests.stateful.workflows import Kind, Shape, Step

type Example = Callable[[Stage], Awaitable[None]]


def graph(*steps: Step) -> Shape:
    return Shape(flow=False, steps=steps)


async def _begin(stage: Stage) -> None:
    await stage.open_mesh(stage.nodes[0])
    await stage.start(0, 0, None, stage.nodes[0])
    await stage.check()


async def _deliver_all(stage: Stage) -> None:
    for job in stage.to_come():
        await stage.deliver(job, stage.open[0], [])
    await stage.check()


async def cancel_what_an_interruption_has_paused(stage: Stage) -> None:
    """Its attempt is over already: it was interrupted, not cancelled."""
    await _deliver_all(stage)
    await stage.close_mesh(stage.nodes[0], None)
    await stage.open_mesh(stage.nodes[0])
    await stage.sweep(stage.nodes[0])
    await stage.check()
    (run_id,) = stage.models
    await stage.cancel(run_id, stage.nodes[0])


async def fail_beside_a_pause(stage: Stage) -> None:
    """The attempt that waits for a person is kept, as a cancelled one."""
    await _deliver_all(stage)
    (body,) = stage.live
    await stage.finish(body, How.REFUSE)


async def fail_after_the_mesh_has_stopped(stage: Stage) -> None:
    """A result that comes so late is nobody's, a failure too."""
    await _deliver_all(stage)
    await stage.close_mesh(stage.nodes[0], How.REFUSE)


@pytest.mark.parametrize(
    ("shape", "example"),
    [
        (graph(Step(Kind.ASYNC, on_interrupt="pause")), cancel_what_an_interruption_has_paused),
        (graph(Step(Kind.PAUSE), Step(Kind.ASYNC)), fail_beside_a_pause),
        (graph(Step(Kind.ASYNC), Step(Kind.ASYNC)), fail_after_the_mesh_has_stopped),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_example(theatre: Theatre, shape: Shape, example: Example) -> None:
    async def play() -> None:
        stage = Stage(theatre.pool, theatre.admin, [shape])
        try:
            await _begin(stage)
            await example(stage)
            await stage.check()
            await stage.go_on_to_the_end()
        finally:
            await stage.close()

    theatre.run(play())
