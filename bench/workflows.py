"""What is measured: a chain of five steps that do nothing but return a small value."""

from time import perf_counter

from squid_mesh import Payload, Workflow, complete, step

STEPS = 5


class Pace:
    """When the last body of each run ran, and the gaps between them, in seconds."""

    def __init__(self) -> None:
        self.gaps: list[float] = []
        self._last: dict[int, float] = {}

    def begin(self, number: int) -> None:
        """The first body of a run."""
        self._last[number] = perf_counter()

    def go_on(self, number: int) -> None:
        """A following body of it."""
        now = perf_counter()
        self.gaps.append(now - self._last[number])
        self._last[number] = now


pace = Pace()


class ChainPayload(Payload):
    """A run's number."""

    number: int


async def first(number: int) -> dict[str, int]:
    """Begin."""
    pace.begin(number)
    return {"number": number}


async def following(before: dict[str, int]) -> dict[str, int]:
    """Pass it on."""
    pace.go_on(before["number"])
    return before


class Chain(Workflow[ChainPayload]):
    """Five steps, one after the other."""

    one = step(first).takes(number=ChainPayload.number)
    two = step(following).takes(before=one.output)
    three = step(following).takes(before=two.output)
    four = step(following).takes(before=three.output)
    five = step(following).takes(before=four.output)

    flow = one >> two >> three >> four >> five >> complete
