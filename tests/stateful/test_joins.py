"""Random graphs whose steps end together, in one process or in two: each join begins once."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.stateful.conductor import OUTPUTS, Delivery
from tests.stateful.playing import CI, Theatre
from tests.stateful.stage import Stage
from tests.stateful.workflows import Kind, Shape, Step


@st.composite
def wide_graphs(draw: st.DrawFn) -> Shape:
    """Layers of steps, each of which waits for some of the layer before."""
    steps: list[Step] = []
    layer: list[int] = []
    for _ in range(draw(st.integers(2, 3))):
        width = draw(st.integers(1, 4))
        before, layer = layer, list(range(len(steps), len(steps) + width))
        for _number in layer:
            some = st.lists(st.sampled_from(before), min_size=1, unique=True)
            needs = tuple(sorted(draw(some))) if before else ()
            steps.append(
                Step(draw(st.sampled_from([Kind.ASYNC, Kind.ASYNC, Kind.LOG])), needs=needs)
            )
    return Shape(flow=False, steps=tuple(steps))


def test_steps_that_end_together_begin_what_follows_once(theatre: Theatre) -> None:
    @settings(CI, max_examples=60)
    @given(wide_graphs(), st.integers(1, 3), st.data())
    def play(shape: Shape, runs: int, data: st.DataObject) -> None:
        theatre.run(play_in_waves(theatre, shape, runs, data))

    play()


async def play_in_waves(theatre: Theatre, shape: Shape, runs: int, data: st.DataObject) -> None:
    stage = Stage(theatre.pool, theatre.admin, [shape])
    try:
        for node in stage.nodes:
            await stage.open_mesh(node)
        for _ in range(runs):
            await stage.start(0, 0, None, stage.nodes[0])
        await stage.check()
        while stage.live or stage.to_come():
            await _wave(stage, data)
            await stage.check()
        assert all(model.is_over for model in stage.models.values())
    finally:
        await stage.close()


async def _wave(stage: Stage, data: st.DataObject) -> None:
    """Deliver whatever there is, anywhere, and let bodies that are alike end at the same time."""
    for job in stage.to_come():
        await stage.deliver(job, data.draw(st.sampled_from(stage.nodes)), [])
    groups: dict[object, list[Delivery]] = defaultdict(list)
    for delivery in stage.live:
        groups[delivery.job.run_id, delivery.steps].append(delivery)
    for group in groups.values():
        await stage.finish_together(group, data.draw(st.sampled_from(OUTPUTS)))
