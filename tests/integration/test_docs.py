"""The code in the docs runs, as it is written."""

import ast
import inspect
import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from squid_mesh import Mesh, NoPayload, Workflow, complete, step
from tests.meshes import ended, on_host

DOCS = Path(__file__).parents[2] / "docs"


async def build() -> str:
    return "a digest"


class PostDigest(Workflow[NoPayload]):
    build = step(build).takes()
    flow = build >> complete


@pytest.fixture
async def mesh(dsn: str) -> AsyncGenerator[Mesh]:
    async with on_host(dsn, [PostDigest]) as mesh:
        yield mesh


def blocks(name: str) -> list[str]:
    text = (DOCS / name).read_text(encoding="utf-8")
    found = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert found
    return found


async def execute(code: str, names: dict[str, Any]) -> None:
    """Run code that awaits, as a notebook does."""
    compiled = compile(code, "docs", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    found = eval(compiled, names)  # noqa: S307  # our own docs
    if inspect.isawaitable(found):
        await found


async def test_the_docs_on_looking_run(mesh: Mesh, capsys: pytest.CaptureFixture[str]) -> None:
    run = await mesh.start_run(PostDigest, tags={"tenant": "acme"})
    for _ in range(25):
        await ended(mesh, (await mesh.start_run(PostDigest, tags={"tenant": "acme"})).id)
    await ended(mesh, run.id)
    names: dict[str, Any] = {"mesh": mesh, "run": run, "PostDigest": PostDigest}
    for block in blocks("inspecting.md"):
        await execute(block, names)
    printed = capsys.readouterr().out
    assert names["digest"] == "a digest"
    assert "build completed {} a digest" in printed
    assert "['build:ok:complete']" in printed
    assert "flowchart TD" in printed
    assert len(names["page"].runs) == 6


async def test_the_docs_on_explaining_run(mesh: Mesh, capsys: pytest.CaptureFixture[str]) -> None:
    run = await mesh.start_run(PostDigest)
    await ended(mesh, run.id)
    for block in blocks("explain.md"):
        await execute(block, {"mesh": mesh, "run": run})
    assert capsys.readouterr().out == (
        "It has completed.\nreplay_run by mesh.replay_run(run_id, actor=…)\n"
    )
