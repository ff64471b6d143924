"""What is measured: a chain of five steps that do nothing but return a small value."""

from squid_mesh import Payload, Workflow, complete, step


class ChainPayload(Payload):
    """A run's number."""

    number: int


async def first(number: int) -> dict[str, int]:
    """Begin."""
    return {"number": number}


async def following(before: dict[str, int]) -> dict[str, int]:
    """Pass it on."""
    return {"number": before["number"] + 1}


class Chain(Workflow[ChainPayload]):
    """Five steps, one after the other."""

    one = step(first).takes(number=ChainPayload.number)
    two = step(following).takes(before=one.output)
    three = step(following).takes(before=two.output)
    four = step(following).takes(before=three.output)
    five = step(following).takes(before=four.output)

    flow = one >> two >> three >> four >> five >> complete


STEPS = 5
