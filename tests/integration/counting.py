"""What a run costs, counted from the server's own log: statements, transactions, and commits.

Every statement of every connection is there, also what a library or a pool sends by itself. So this
needs a server of its own, with these `SETTINGS`, and a mesh with nothing else to do.
"""

import re
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from uuid import uuid4

from oban import Oban

from squid_mesh import Mesh
from squid_mesh.store.statements import Statements
from tests.clock import one
from tests.meshes import QUEUE, Workflows, eventually, own_pool

SETTINGS = {
    "log_statement": "all",
    "log_duration": "on",
    "log_parameter_max_length": "0",
    "log_line_prefix": "|%v|%x|%a|",
    "autovacuum": "off",
}

BEGIN, COMMIT, LISTEN = "BEGIN", "COMMIT", "LISTEN"

PLACES = 24
"""How many steps of the queue run at once."""

ONLOOKER = "onlooker"
"""The application name of a test's own connections, which aren't counted."""

HOUSEKEEPING = {
    "begin_boot",
    "end_boot",
    "find_interrupted",
    "find_parked",
    "find_producers",
    "heartbeat",
    LISTEN,
    "queue_schedules",
    "requeue_overdue",
    "set default_transaction_isolation = 'read committed';",
    "SELECT 1",
    "oban cleanup_expired_leaders",
    "oban cleanup_expired_producers",
    "oban delete_producer",
    "oban elect_leader",
    "oban insert_producer",
    "oban prune_jobs",
    "oban refresh_producers",
    "oban rescue_jobs",
    "oban resign_leader",
    "oban stage_jobs",
    "oban update_producer",
}
"""What goes by the clock, or is done once by a process: no run causes it."""

_LINE = re.compile(
    r"\|([^|]*)\|(\d+)\|([^|]*)\|LOG:  (statement|execute [^:]*|duration): (.*)", re.DOTALL
)


@dataclass(frozen=True)
class Cost:
    """What was asked for. `commits` are the transactions that wrote something."""

    statements: Counter[str]
    commits: int
    wal: int = 0
    """Bytes."""

    @property
    def ours(self) -> dict[str, int]:
        """Statements that neither Oban nor a driver adds."""
        return {
            name: count
            for name, count in self.statements.items()
            if not name.startswith(("oban ", BEGIN, COMMIT))
        }


@dataclass
class _Transaction:
    statements: list[str] = field(default_factory=list)
    writes: bool = False


class _Log:
    """A server's log, from some moment on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.forget()

    def forget(self) -> None:
        """Count from here on."""
        self._from = self._path.stat().st_size

    def transactions(self) -> list[_Transaction]:
        """In the order of their beginnings, without housekeeping."""
        found: dict[str, _Transaction] = {}
        for entry in self._entries():
            match = _LINE.match(entry)
            if match is None:
                continue
            virtual, xid, application, kind, text = match.groups()
            if application == ONLOOKER:
                continue
            if kind == "duration":
                if virtual in found and xid != "0":
                    found[virtual].writes = True
                continue
            found.setdefault(virtual, _Transaction()).statements.append(_name(text))
        return [one for one in found.values() if not HOUSEKEEPING.intersection(one.statements)]

    def _entries(self) -> Iterator[str]:
        """Each entry with all of its lines: those that go on are indented."""
        with self._path.open("rb") as log:
            log.seek(self._from)
            text = log.read().decode()
        yield from text.replace("\n\t", "\0").splitlines()


_MARK = """
select case when is_called then last_value else 0 end as jobs,
       (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint as wal
from oban_jobs_id_seq
"""
_UNDER_WAY = """
select count(*) from squid_mesh.runs where outcome is null and status <> 'paused'
"""
_FETCHED = [BEGIN, "oban fetch_jobs", COMMIT]
"""What Oban does last, once it has acknowledged a job."""


class Counted:
    """A mesh whose costs are counted."""

    def __init__(self, mesh: Mesh, dsn: str, log: Path) -> None:
        self.mesh = mesh
        self.dsn = f"{dsn}&application_name={ONLOOKER}"
        self._log = _Log(log)
        self._jobs = 0

    async def cost_of(self, act: Callable[[Mesh], Awaitable[object]], *, taken: int = 0) -> Cost:
        """What it costs to do something, until no run goes on and Oban is done with all jobs.

        But for so many that drivers take before Oban fetches them.
        """
        self._jobs, before = await one(self.dsn, _MARK)
        self._jobs += taken
        self._log.forget()
        await act(self.mesh)
        await eventually(self._is_quiet)
        _, after = await one(self.dsn, _MARK)
        caused = self._log.transactions()
        return Cost(
            statements=Counter(name for one in caused for name in one.statements),
            commits=sum(one.writes for one in caused),
            wal=after - before,
        )

    async def _is_quiet(self) -> bool:
        (under_way,) = await one(self.dsn, _UNDER_WAY)
        jobs, _ = await one(self.dsn, _MARK)
        asked = [one.statements for one in self._log.transactions()]
        obans = [names for names in asked if any(name.startswith("oban") for name in names)]
        acknowledged = sum(names.count("oban ack_job") for names in obans)
        return not under_way and acknowledged == jobs - self._jobs and obans[-1:] == [_FETCHED]


@asynccontextmanager
async def counted(dsn: str, log: Path, workflows: Workflows) -> AsyncGenerator[Counted]:
    """A mesh whose clocks stand still, as far as they can be told to."""
    hour = timedelta(hours=1)
    async with own_pool(dsn) as pool:
        oban = Oban(
            pool=pool,
            name=f"host_{uuid4().hex}",
            queues={QUEUE: PLACES},
            stager={"interval": 3600.0},
        )
        mesh = Mesh(
            pool,
            oban=oban,
            workflows=workflows,
            heartbeat=hour,
            lease=2 * hour,
            blocked=4 * hour,
        )
        async with oban, mesh:
            yield Counted(mesh, dsn, log)


def _name(text: str) -> str:
    """A statement of ours by its file, of Oban's too, anything else by its first line."""
    text = text.replace("\0", "\n").strip()
    first_line = text.split("\n", 1)[0]
    if first_line in _OURS:
        return _OURS[first_line]
    for word in (BEGIN, LISTEN):
        if first_line.upper().startswith(word):
            return word
    return next((name for name, begin in _OBANS.items() if text.startswith(begin)), first_line)


def _obans() -> Iterator[tuple[str, str]]:
    for file in files("oban.queries").iterdir():
        if file.name.endswith(".sql"):
            begin = file.read_text(encoding="utf-8").split("%(")[0].strip()
            yield (
                f"oban {file.name.removesuffix('.sql')}",
                re.sub(r"\b(oban_\w+)", r"public.\1", begin),
            )


_OURS = {text.split("\n", 1)[0]: name for name, text in Statements()._all.items()}
_OBANS = dict(_obans())
