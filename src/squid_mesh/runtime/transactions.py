"""Runs a body inside a transaction in which its result is written as well (law 4).

begin → the body → the run's lock and its progress → commit. The body's claim is durable before, as
any other's (law 1). The run is locked only after the body has returned, and never waited for: while
a host holds it the same statement is tried again, and given up after some seconds (laws 9, 11).

What a body raises, or its commit does, is its step's failure, and goes by the step's policies as
any other. What keeps the engine from committing (the connection is lost, the run is held)
interrupts the attempt, as a worker's death would: nothing of it is there, and recovery goes on.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import assert_never

import psycopg
from psycopg_pool import PoolClosed

from squid_mesh.definition.actions import Action, name_of
from squid_mesh.definition.spec import Injected
from squid_mesh.runtime.failures import BodyFailure, from_exception, refusal
from squid_mesh.runtime.handles import State, Transaction
from squid_mesh.runtime.ledger import Ledger
from squid_mesh.runtime.openings import Opening, Openings
from squid_mesh.runtime.results import Intend, Output, Settled
from squid_mesh.store.committer import BLAMES_A_RECORD, Busy, Lost
from squid_mesh.store.outcomes import outcomes_of
from squid_mesh.store.records import Claimed, Stale
from squid_mesh.store.trouble import PASSES
from squid_mesh.store.writes import Writer

logger = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds that a body's writes, and their locks, are kept while somebody else holds its run.

Up to half of it less: of two that wait for each other one gives up, and the other goes on.
"""

_LONGEST_PAUSE = 0.1
_RECONNECTING = 0.5

_OF_THE_DATABASE = {name_of(psycopg.Error), "sqlalchemy.exc:DBAPIError"}
"""What a body raises when it meets a connection that is lost."""


@dataclass(frozen=True, slots=True)
class Inside:
    """A body that is to run in a transaction, and what its result leads to."""

    claimed: Claimed
    action: Action
    wire: Injected
    body: Callable[[Transaction], Awaitable[Output | BodyFailure]]
    intend: Intend

    def refused(self, code: str, message: str) -> BodyFailure:
        """A failure that trying again can't help."""
        return refusal(code, message, self.claimed.step, self.claimed.attempt)


@dataclass(frozen=True, slots=True)
class _Entered:
    """An open transaction, its name in the database, and whether the claim still holds there."""

    transaction: Transaction
    name: str
    holds: bool | None


@dataclass(frozen=True, slots=True)
class _Decided:
    """What the attempt came to, and whether that is what commits."""

    result: Settled | BodyFailure
    commits: bool = False

    def leave(self) -> None:
        """Have the transaction that this was decided in end accordingly."""
        if not self.commits:
            raise _RollBack


class _RollBack(Exception):
    """Leaves a transaction without a commit."""


@dataclass(slots=True)
class _UnderWay:
    """How far an attempt has got."""

    entered: _Entered | None = None
    decided: _Decided | None = None


class Transactions:
    """The transactional steps of one process."""

    def __init__(self, openings: Openings, ledger: Ledger, writer: Writer) -> None:
        self._openings = openings
        self._ledger = ledger
        self._writer = writer

    async def run(self, inside: Inside) -> Settled | BodyFailure:
        """Run a body; its result, committed with its writes, or its failure, with none of them.

        Raises `Lost` when the attempt is interrupted, and what cancels the driver itself.
        """
        under_way = _UnderWay()
        try:
            await self._conduct(inside, under_way)
        except Lost:
            raise
        except _RollBack:
            pass
        except Exception as error:  # noqa: BLE001 (of the host's pool, its engine, its listeners)
            return await self._explain(inside, under_way, error)
        assert under_way.decided is not None, "a transaction is left with a decision"
        return under_way.decided.result

    async def _conduct(self, inside: Inside, under_way: _UnderWay) -> None:
        opening = self._openings.of(inside.wire, is_async=inside.action.is_async)
        async with self._entered(opening, inside.claimed) as under_way.entered:
            under_way.decided = await self._decide(under_way.entered, inside)
            under_way.decided.leave()

    async def _explain(
        self, inside: Inside, under_way: _UnderWay, error: Exception
    ) -> Settled | BodyFailure:
        """What an error means that a transaction was left with, by how far it had got."""
        entered, decided = under_way.entered, under_way.decided
        if entered is None:
            return inside.refused("invalid_input", f"{inside.wire.origin}: {_first_line(error)}")
        if decided is None:
            raise _lost_or(error)
        if decided.commits:
            return await self._after_commit(entered, inside, decided.result, error)
        logger.warning("a transaction that is rolled back says: %s", _first_line(error))
        return decided.result

    # begin

    @asynccontextmanager
    async def _entered(self, opening: Opening, claimed: Claimed) -> AsyncGenerator[_Entered]:
        """Open a transaction, as soon as the database and its pool have one to give."""
        async with AsyncExitStack() as stack:
            entered = None
            while entered is None:
                entered = await self._enter(opening, claimed, stack)
            yield entered

    async def _enter(
        self, opening: Opening, claimed: Claimed, stack: AsyncExitStack
    ) -> _Entered | None:
        """Open a transaction; None when there is none to be had now. Nothing has begun yet."""
        asked = {
            "run": claimed.run_id,
            "step": claimed.step,
            "attempt": claimed.attempt,
            "boot": self._writer.boot,
        }
        try:
            async with AsyncExitStack() as opened:
                transaction = await opened.enter_async_context(opening())
                statement = self._writer.statements["enter_transaction"]
                ((name, holds),) = await transaction.rows(statement, asked)
                stack.push_async_exit(opened.pop_all())
                return _Entered(transaction, name, holds)
        except psycopg.Error as error:
            if isinstance(error, PoolClosed):
                raise Lost(str(error)) from error
            if not _passes(error):
                raise
            logger.warning(
                "step %s of run %s waits for a transaction: %s",
                claimed.step,
                claimed.run_id,
                _first_line(error),
            )
        await asyncio.sleep(_RECONNECTING)
        return None

    # body

    async def _decide(self, entered: _Entered, inside: Inside) -> _Decided:
        if entered.holds is None:
            what = f"the database of this {inside.wire.origin} has no run {inside.claimed.run_id}"
            return _Decided(inside.refused("invalid_input", f"{what}: pass one of the mesh's own"))
        if not entered.holds:
            raise Lost(f"the claim of step {inside.claimed.step} is another's by now")
        result = await inside.body(entered.transaction)
        if entered.transaction.is_left:
            return _Decided(result if isinstance(result, BodyFailure) else _cut_off(inside))
        if (misdeed := await self._misdeed(entered, inside, result)) is not None:
            return _Decided(inside.refused("broken_transaction", misdeed))
        if isinstance(result, BodyFailure):
            return _Decided(result)
        return await self._write(entered.transaction, inside, result)

    async def _misdeed(
        self, entered: _Entered, inside: Inside, result: Output | BodyFailure
    ) -> str | None:
        """What a body did that its transaction can't be committed after, in a sentence."""
        state = entered.transaction.state()
        if state is State.LOST and not _is_of_its_own(result):
            raise Lost("the connection of a transactional step was lost")
        if state is State.OPEN and not await self._is_named(entered):
            state = State.ENDED
        if state is State.ENDED:
            return await self._ended(entered, inside, result)
        if isinstance(result, BodyFailure):
            return None  # nothing was committed, so it is a failure like any other
        did = _did(state)
        return None if did is None else _sentence(inside, did)

    async def _is_named(self, entered: _Entered) -> bool:
        """Whether the transaction is still the one that was begun."""
        statement = self._writer.statements["name_transaction"]
        ((name, *_),) = await entered.transaction.rows(statement, {})
        return bool(name == entered.name)

    async def _ended(
        self, entered: _Entered, inside: Inside, result: Output | BodyFailure
    ) -> str | None:
        """How a body ended its transaction by itself, in SQL."""
        committed = await self._ledger.ask_transaction(entered.name) == "committed"
        if isinstance(result, BodyFailure) and not committed:
            return None
        did = "committed its transaction" if committed else "rolled its transaction back"
        sentence = _sentence(inside, f"{did} by itself")
        if isinstance(result, BodyFailure):
            return f"{sentence} (it failed afterwards: {result.error['message']})"
        return sentence

    # progress

    async def _write(self, transaction: Transaction, inside: Inside, output: Output) -> _Decided:
        progress = inside.intend(output)
        statement, parameters = self._writer.flush([progress])
        deadline = time.monotonic() + PATIENCE * random.uniform(0.5, 1.0)  # noqa: S311 (spreads load)
        pause = 0.001
        while True:
            try:
                rows = await transaction.rows(statement, parameters)
            except psycopg.Error as error:
                return _unwritten(inside, error)
            (outcome,) = outcomes_of([progress], rows)
            if not isinstance(outcome, Busy):
                break
            if time.monotonic() > deadline:
                raise Lost(f"run {progress.run_id} is held by somebody: its step is rolled back")
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        settled = Settled(output, progress, outcome)
        return _Decided(settled, commits=not isinstance(outcome, Stale))

    # commit

    async def _after_commit(
        self,
        entered: _Entered,
        inside: Inside,
        result: Settled | BodyFailure,
        error: Exception,
    ) -> Settled | BodyFailure:
        """What became of a commit that had no good answer: only the database knows (law 14)."""
        if await self._ledger.ask_transaction(entered.name) == "committed":
            logger.warning("a transaction was committed, but then: %s", _first_line(error))
            return result
        cause = _cause(error)
        if cause is not None and _is_lost(cause):
            raise Lost(str(error)) from error
        return from_exception(error, inside.claimed.step, inside.claimed.attempt)


def _unwritten(inside: Inside, error: psycopg.Error) -> _Decided:
    """What it means that progress can't be written. The transaction is aborted."""
    kind = (error.sqlstate or "")[:2]
    if kind in BLAMES_A_RECORD or (isinstance(error, psycopg.DataError) and not kind):
        message = f"the database refused the result: {_first_line(error)}"
        return _Decided(inside.refused("invalid_output", message))
    if _passes(error):
        raise Lost(str(error)) from error
    message = f"its result can't be written in its transaction: {_first_line(error)}"
    return _Decided(inside.refused("broken_transaction", message))


def _lost_or(error: Exception) -> Exception:
    """`Lost` for trouble of the database that passes, anything else as it is."""
    cause = _cause(error)
    return Lost(str(error)) if cause is not None and _passes(cause) else error


def _cut_off(inside: Inside) -> BodyFailure:
    """A body that is left always fails; this is for one that ends in the same moment."""
    return inside.refused("timeout", "ended as its time was over")


def _is_of_its_own(result: Output | BodyFailure) -> bool:
    """Whether a body failed for another reason than that its connection was lost."""
    return isinstance(result, BodyFailure) and not _OF_THE_DATABASE & set(result.failed.kinds)


def _did(state: State) -> str | None:
    match state:
        case State.OPEN | State.ENDED | State.LOST:
            return None
        case State.ABORTED:
            return (
                "went on after a statement had failed, which has aborted its transaction (let the "
                "error out, or use a savepoint around what may fail)"
            )
        case State.BUSY:
            return "left a statement running on its connection"
        case State.UNDONE:
            return "rolled its session back or closed it"
        case State.CLOSED:
            return "closed its connection"
        case _:
            assert_never(state)


def _sentence(inside: Inside, did: str) -> str:
    return (
        f"{inside.action.name} {did}: what it writes commits together with its result, after it "
        "has returned"
    )


def _cause(error: BaseException) -> psycopg.Error | None:
    """The error of psycopg's in what SQLAlchemy may have wrapped."""
    for candidate in (error, getattr(error, "orig", None)):
        if isinstance(candidate, psycopg.Error):
            return candidate
    return None


def _passes(error: psycopg.Error) -> bool:
    """Whether it is no fault of anybody here, and likely to be over soon."""
    return _is_lost(error) or (error.sqlstate or "")[:2] in PASSES


def _is_lost(error: psycopg.Error) -> bool:
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError)
    return error.sqlstate[:2] in {"08", "57"}


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
