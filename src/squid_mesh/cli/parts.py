"""The parts of a mesh that the program needs to see. The only place that looks inside."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from squid_mesh.cli.complaints import Complaint
from squid_mesh.dispatch import oban as dispatch
from squid_mesh.dispatch.oban import Oban
from squid_mesh.mesh import Mesh
from squid_mesh.mesh.core import Pool
from squid_mesh.runtime.catalog import Catalog
from squid_mesh.runtime.settings import Settings
from squid_mesh.runtime.surroundings import Resources
from squid_mesh.store.statements import Statements


@dataclass(frozen=True, slots=True)
class Parts:
    """What a mesh was made of."""

    pool: Pool
    oban: Oban
    settings: Settings
    statements: Statements
    catalog: Catalog
    resources: Resources
    owns_both: bool
    is_open: bool


def parts_of(mesh: Mesh) -> Parts:
    """The parts of a mesh, open or not."""
    return Parts(
        pool=mesh._pool,  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        oban=mesh._oban,  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        settings=mesh._settings,  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        statements=mesh._statements,  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        catalog=mesh._catalog,  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        resources=mesh._resources,  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        owns_both=bool(mesh._own_pools),  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        is_open=mesh._running is not None,  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    )


@asynccontextmanager
async def opened(mesh: Mesh, queues: Mapping[str, int] | None = None) -> AsyncGenerator[Parts]:
    """Open of a mesh's pool, its Oban and itself what isn't open yet, for the length of the block.

    The mesh closes before its Oban, and that before the pool. With `queues` the Oban serves these
    here, and no others; raises `Complaint` when it has been started already.
    """
    parts = parts_of(mesh)
    async with AsyncExitStack() as stack:
        if not parts.owns_both and parts.pool.closed:
            await stack.enter_async_context(parts.pool)
        if queues is not None:
            _narrow(parts.oban, queues)
        if not parts.owns_both and not dispatch.is_started(parts.oban):
            await stack.enter_async_context(parts.oban)
        if not parts.is_open:
            await stack.enter_async_context(mesh)
        if queues is not None:
            await dispatch.serve(parts.oban, queues)
        yield parts


def _narrow(oban: Oban, queues: Mapping[str, int]) -> None:
    if dispatch.is_started(oban):
        raise Complaint(
            "--queues comes too late: this Oban serves its queues already",
            "don't start it in the function that gives the mesh; the worker does",
        )
    dispatch.keep_only(oban, queues)
