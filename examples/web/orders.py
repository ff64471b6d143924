"""What is to be done for an order. Each step stands for a call of some other system."""

import asyncio

from squid_mesh import Payload, Workflow, complete, step


class OrderPayload(Payload):
    """An order, by its number."""

    number: int


async def reserve(number: int) -> str:
    await asyncio.sleep(0.2)
    return f"reservation {number}"


async def charge(reservation: str) -> str:
    await asyncio.sleep(0.2)
    return f"receipt of {reservation}"


async def pack(reservation: str) -> str:
    await asyncio.sleep(0.2)
    return f"parcel of {reservation}"


async def ship(parcel: str, receipt: str) -> str:
    await asyncio.sleep(0.2)
    return f"{parcel}, {receipt}"


class FulfilOrder(Workflow[OrderPayload]):
    """Reserve, charge, pack and ship."""

    reserved = step(reserve).takes(number=OrderPayload.number)
    charged = step(charge).takes(reservation=reserved.output)
    packed = step(pack).takes(reservation=reserved.output)
    shipped = step(ship).takes(parcel=packed.output, receipt=charged.output)
    flow = reserved >> charged >> packed >> shipped >> complete
