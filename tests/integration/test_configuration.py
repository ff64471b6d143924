"""A setting that is wrong, of a wrong type, or missing: told when a mesh is made, with the rest."""

from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest
from oban import Oban
from psycopg_pool import AsyncConnectionPool

from squid_mesh import InvalidConfig, Mesh, NoPayload, Workflow, log
from tests.conformance import conforms
from tests.meshes import oban_on, own_pool


class Say(Workflow[NoPayload]):
    say = log("said")


MISTYPED: dict[str, list[Any]] = {
    "pool": [None, 5, "postgresql://"],
    "oban": [None, 5, Oban],
    "workflows": [None, 5, Say, "Say", [int], [5], [Say, None], [Workflow], ["Say"], {"a": Say}],
    "name": [None, 5, "", "my mesh", "a\0", b"mesh", "\ud800"],
    "schema": [None, 5, "", "My", "a b", 'a"b', "a\0", "x" * 64, b"mesh"],
    "queue": [None, 5, "", " ", "a\0", b"queue", ["a"], "\ud800"],
    "resources": [None, 5, {"a": 1}, "text"],
    "actions": [None, 5, [5], [None], ["module:function"], [lambda: None], print],
    "observers": [None, 5, [5], [None], print],
    "direct_dsn": [5, "", " ", b"postgresql://"],
    "heartbeat": [None, 2, 2.0, "2s", float("nan")],
    "lease": [None, 10, "10s"],
    "blocked": [None, 60],
    "grace": [None, 15, "soon"],
    "retention": [30, "30 days", timedelta(), timedelta(days=-1)],
    "overdue": [None, 5, timedelta()],
    "handover": [None, "5s", timedelta()],
    "max_interruptions": [None, 0, -1, 2.0, "ten", True],
}
MISTYPED_OF_CONNECT: dict[str, list[Any]] = {
    "dsn": [None, 5, "", b"postgresql://"],
    "queues": [None, 5, ["squid_mesh"], "squid_mesh", {"a": 0}, {"a": "ten"}, {5: 1}, {"": 1}],
    "max_connections": [None, 0, -1, "ten", 2.5],
}


def cases(table: dict[str, list[Any]]) -> list[Any]:
    return [
        pytest.param(setting, value, id=f"{setting}={ascii(value)[:40]}")
        for setting, values in table.items()
        for value in values
    ]


@pytest.fixture
async def host(dsn: str) -> AsyncGenerator[dict[str, Any]]:
    """What a mesh needs."""
    async with own_pool(dsn) as pool:
        yield {"pool": pool, "oban": oban_on(pool, {}), "workflows": [Say]}


def made(settings: dict[str, Any]) -> Mesh:
    return Mesh(settings.pop("pool"), **settings)


@conforms("S191", "S193")
@pytest.mark.parametrize(("setting", "value"), cases(MISTYPED))
async def test_a_setting_that_can_t_be_is_told_by_its_name(
    host: dict[str, Any], setting: str, value: Any
) -> None:
    with pytest.raises(InvalidConfig) as refused:
        made(host | {setting: value})
    assert len(refused.value.problems) == 1, refused.value.problems
    assert setting in refused.value.problems[0]
    assert len(refused.value.problems[0]) < 300


@conforms("S191", "S193")
@pytest.mark.parametrize(
    ("setting", "value"), cases({k: v for k, v in MISTYPED.items() if k not in {"pool", "oban"}})
)
def test_so_it_is_when_a_mesh_connects_by_itself(setting: str, value: Any) -> None:
    settings = {"workflows": [Say], "queues": {"squid_mesh": 1}, setting: value}
    with pytest.raises(InvalidConfig) as refused:
        Mesh.connect("postgresql://nowhere", **settings)
    assert len(refused.value.problems) == 1, refused.value.problems
    assert setting in refused.value.problems[0]


@conforms("S191", "S193")
@pytest.mark.parametrize(("setting", "value"), cases(MISTYPED_OF_CONNECT))
def test_so_are_the_settings_of_a_connection(setting: str, value: Any) -> None:
    settings = {
        "dsn": "postgresql://nowhere",
        "workflows": [Say],
        "queues": {"squid_mesh": 1},
        setting: value,
    }
    with pytest.raises(InvalidConfig) as refused:
        Mesh.connect(settings.pop("dsn"), **settings)
    assert len(refused.value.problems) == 1, refused.value.problems
    assert setting in refused.value.problems[0]


@conforms("S191")
async def test_everything_that_is_wrong_is_told_at_once() -> None:
    wrong = {
        setting: values[0 if values[0] is not None else 1] for setting, values in MISTYPED.items()
    }
    with pytest.raises(InvalidConfig) as refused:
        made(wrong)
    told = "\n".join(refused.value.problems)
    assert [setting for setting in MISTYPED if setting not in told] == []


@conforms("S191")
def test_so_it_is_when_nothing_about_a_connection_is_right_either() -> None:
    wrong = {"dsn": "", "queues": 5, "max_connections": 0, "workflows": [int], "heartbeat": 2}
    with pytest.raises(InvalidConfig) as refused:
        Mesh.connect(wrong.pop("dsn"), **wrong)  # type: ignore[arg-type]  # what the test is about
    told = "\n".join(refused.value.problems)
    assert [s for s in ("dsn", "queues", "max_connections", *wrong) if s not in told] == []


@conforms("S190", "S191")
async def test_what_is_missing_is_named_by_python_itself(host: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="'oban' and 'workflows'"):
        Mesh(host["pool"])  # type: ignore[call-arg]  # what the test is about
    with pytest.raises(TypeError, match="'workflows' and 'queues'"):
        Mesh.connect("postgresql://nowhere")  # type: ignore[call-arg]


async def test_a_pool_that_does_not_tell_its_conninfo_needs_a_direct_dsn(dsn: str) -> None:
    async def conninfo() -> str:
        return dsn

    async with AsyncConnectionPool(conninfo, open=False) as pool:
        settings: dict[str, Any] = {"oban": oban_on(pool, {}), "workflows": [Say]}
        with pytest.raises(InvalidConfig, match="direct_dsn"):
            Mesh(pool, **settings)
        async with Mesh(pool, **settings, direct_dsn=dsn) as mesh:
            assert (await mesh.start_run(Say)).status == "pending"
