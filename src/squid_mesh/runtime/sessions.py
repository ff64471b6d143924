"""Transactions of SQLAlchemy sessions. Imported only by a mesh that is asked for one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, override

from psycopg import AsyncConnection, Connection
from psycopg_pool import PoolTimeout
from sqlalchemy import event, exc
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, SessionTransaction, sessionmaker

from squid_mesh.errors import StepError
from squid_mesh.runtime.handles import OnLoop, Opened, OpenedSync, State, Transaction, Watch


class Unusable(Exception):
    """A session that has no transaction of ours to share, and what to give the mesh instead."""


class SessionWatch(Watch):
    """Refuses a commit that isn't the engine's, and notes when the session's transaction ends.

    Its connection is back in its pool then, where it may be anybody's.
    """

    def __init__(self, session: Session, driver: AsyncConnection[Any] | Connection[Any]) -> None:
        self._session = session
        self._driver = driver
        self._is_over = False
        self._has_ended = False
        event.listen(session, "before_commit", self._before_commit)
        event.listen(session, "after_transaction_end", self._after_end)

    @override
    def state(self) -> State | None:
        if self._has_ended:
            return State.UNDONE
        if self._driver.closed:  # SQLAlchemy closes what is broken
            return State.LOST
        return None if self._session.is_active else State.ABORTED

    def over(self) -> None:
        """From here on it is the engine that commits."""
        self._is_over = True

    def _before_commit(self, session: Session) -> None:
        if not self._is_over and not session.in_nested_transaction():
            raise StepError(
                "this session commits together with the step's result, after the body has "
                "returned: leave commit() out, and use flush() to send what was written",
                code="broken_transaction",
                retryable=False,
            )

    def _after_end(self, _: Session, transaction: SessionTransaction) -> None:
        self._has_ended = self._has_ended or transaction.parent is None


@asynccontextmanager
async def on_session(maker: async_sessionmaker[AsyncSession]) -> AsyncGenerator[Transaction]:
    """The transaction of a session that a host's maker makes."""
    async with maker() as session:
        with _database_errors():
            connection = await session.connection()
            raw = await connection.get_raw_connection()
        driver: AsyncConnection[Any] = _usable(raw.driver_connection, AsyncConnection)
        watch = SessionWatch(session.sync_session, driver)
        yield OnLoop(Opened(session, driver, session.flush, watch))
        watch.over()
        await session.commit()


@contextmanager
def on_sync_session(maker: sessionmaker[Session]) -> Generator[OpenedSync]:
    """The same for threads."""
    with maker() as session:
        with _database_errors():
            raw = session.connection().connection
        driver: Connection[Any] = _usable(raw.driver_connection, Connection)
        watch = SessionWatch(session, driver)
        yield Opened(session, driver, session.flush, watch)
        watch.over()
        session.commit()


@contextmanager
def _database_errors() -> Generator[None]:
    """Let SQLAlchemy's pool fail as psycopg's own does: whoever waits for it tries again."""
    try:
        yield
    except exc.TimeoutError as error:
        raise PoolTimeout(str(error)) from error
    except exc.DBAPIError as error:
        raise error.orig or error from error


def _usable(driver: Any, kind: type[Any]) -> Any:
    """The connection under a session's, if it can share its transaction. Raises `Unusable`."""
    if not isinstance(driver, kind):
        module = type(driver).__module__.partition(".")[0]
        raise Unusable(
            f"the session's engine is on {module}: give the mesh a sessionmaker of an engine on "
            "psycopg, as in create_engine('postgresql+psycopg://…')"
        )
    if driver.autocommit:
        raise Unusable(
            "the session's engine has isolation_level='AUTOCOMMIT', so it has no transactions: "
            "give the mesh a sessionmaker of an engine without it"
        )
    return driver
