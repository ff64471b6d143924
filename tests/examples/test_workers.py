import signal
from asyncio.subprocess import Process
from pathlib import Path

import pytest

from examples import workers
from examples.daily_digest.stage import WORKER
from examples.workers import worker


async def test_a_worker_ends_cleanly_with_its_block(dsn: str) -> None:
    async with worker(WORKER, dsn) as process:
        assert process.returncode is None
    assert process.returncode == 0


async def test_a_worker_dies_with_its_parent(dsn: str) -> None:
    async with worker(WORKER, dsn) as process:
        assert process.stdin
        process.stdin.close()  # as the system does for whoever dies
        assert await process.wait() == 1


async def test_a_worker_is_killed_when_its_block_raises(dsn: str) -> None:
    seen: list[Process] = []

    async def fail() -> None:
        async with worker(WORKER, dsn) as process:
            seen.append(process)
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    assert [process.returncode for process in seen] == [-signal.SIGKILL]


async def test_a_worker_that_cannot_work_is_told_from_one_that_is_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(workers, "_ROOT", tmp_path)  # where there is no program
    with pytest.raises(RuntimeError, match="ended before it was up"):
        async with worker(WORKER, "postgresql:///nowhere"):
            pass
