"""Starts runs as the orders say, as many as keep the workers busy and no more."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import assert_never
from uuid import UUID

from squid_mesh import ENDED, InvalidTransition, Run, WaitTimeout
from tests.chaos.host import AGAIN, TROUBLE, Host, insistently
from tests.chaos.orders import Manner, Order
from tests.clock import every

STARTERS = 16
"""How many orders are carried out at once."""

PATIENCE = timedelta(minutes=3)
"""How long somebody waits for a run."""

_LIVE = "select count(*)::int from squid_mesh.runs where outcome is null"
_ORDER = "insert into chaos.orders (key) values (%s)"


class _Changed(Exception):
    """The host has changed its mind: its transaction is rolled back."""


@dataclass
class Generator:
    """Starts runs until it is told to stop. `room` is how many may live at once."""

    host: Host
    orders: Iterator[Order]
    room: int
    troubles: list[str] = field(default_factory=list)
    _live: int = 0
    _later: list[asyncio.Task[None]] = field(default_factory=list)

    async def run(self, seconds: float) -> None:
        """Start runs for so long, and see to what was asked of them."""
        starting = asyncio.gather(self._count(), *(self._start() for _ in range(STARTERS)))
        try:
            async with asyncio.timeout(seconds):
                await starting
        except TimeoutError:
            pass

    async def see_to_the_rest(self) -> None:
        """Wait for those who wait for runs."""
        await asyncio.gather(*self._later)

    async def _count(self) -> None:
        for _ in count():
            with suppress(*TROUBLE):
                ((self._live,),) = await every(self.host.dsn, _LIVE)
            await asyncio.sleep(AGAIN)

    async def _start(self) -> None:
        for order in self.orders:
            while self._live >= self.room:
                await asyncio.sleep(AGAIN / 4)
            self._live += len(order.tasks)
            try:
                runs = await self._carry_out(order)
            except TROUBLE:  # nobody knows whether it was started; it ends all the same
                await asyncio.sleep(AGAIN)
                continue
            for run in runs:
                self.host.promised("started", run.id)
            self._see_to(order, runs)

    async def _carry_out(self, order: Order) -> list[Run]:
        mesh, (first, *_) = self.host.mesh, order.tasks
        match order.manner:
            case Manner.ALONE:
                return [await mesh.start_run(order.workflow, first)]
            case Manner.WITH_KEY:
                (key,) = order.keys
                start = lambda: mesh.start_run(order.workflow, first, key=key)  # noqa: E731
                return [await insistently(start)]
            case Manner.TOGETHER:
                many = lambda: mesh.start_runs(order.workflow, order.tasks, keys=order.keys)  # noqa: E731
                return await insistently(many)
            case Manner.IN_TRANSACTION | Manner.ROLLED_BACK:
                return await self._in_transaction(order)
            case _:
                assert_never(order.manner)

    async def _in_transaction(self, order: Order) -> list[Run]:
        """Start a run together with a row of the host's."""
        ((task,), (key,)) = order.tasks, order.keys
        try:
            async with self.host.mesh._pool.connection() as connection:
                await connection.execute(_ORDER, (key,))
                tags = {"order": key}
                run = await self.host.mesh.start_run(
                    order.workflow, task, tags=tags, conn=connection
                )
                if order.manner is Manner.ROLLED_BACK:
                    raise _Changed  # noqa: TRY301  # out of the transaction
        except _Changed:
            return []
        return [run]

    def _see_to(self, order: Order, runs: list[Run]) -> None:
        for run in runs[:1]:
            if order.cancelled_after is not None:
                self._later.append(asyncio.create_task(self._cancel(run.id, order.cancelled_after)))
            if order.is_replayed:
                self._later.append(asyncio.create_task(self._replay(run.id)))
            if order.is_awaited:
                self._later.append(asyncio.create_task(self._wait(run.id)))

    async def _cancel(self, run_id: UUID, after: float) -> None:
        await asyncio.sleep(after)
        try:
            await insistently(lambda: self.host.mesh.cancel_run(run_id, actor="generator"))
        except InvalidTransition:
            return
        self.host.promised("cancelled", run_id, at=await self.host.now())

    async def _replay(self, run_id: UUID) -> None:
        try:
            run = await self.host.mesh.replay_run(run_id, actor="generator")
        except TROUBLE:
            return
        self.host.promised("replayed", run.id)

    async def _wait(self, run_id: UUID) -> None:
        try:
            run = await self.host.mesh.wait_for_run(run_id, until=ENDED, timeout=PATIENCE)
        except WaitTimeout as timeout:
            self.troubles.append(f"somebody waited in vain for run {run_id}: {timeout.run.status}")
        except TROUBLE:
            return
        else:
            self.host.promised("ended", run_id, str(run.status))
