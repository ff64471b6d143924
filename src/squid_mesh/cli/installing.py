"""`squid-mesh install`: writes migrations into a host's folder, those that it doesn't have yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from squid_mesh.cli.complaints import Complaint, in_code, shown
from squid_mesh.cli.scripts import Migration, statements_of

_SQL_HEAD = "-- {title}. Written by `squid-mesh install`; run it in one transaction.\n\n"

_ALEMBIC = '''\
"""{title}

Revision ID: {id}
Revises: {after}
Create Date: {now}

Written by `squid-mesh install`.
"""

from alembic import op
from sqlalchemy import text

revision = {id!r}
down_revision = {down_revision!r}
branch_labels = None
depends_on = None


def upgrade() -> None:
    run(UP)


def downgrade() -> None:
{downgrade}


def run(statements: tuple[str, ...]) -> None:
    for statement in statements:
        op.execute(text(statement.replace(":", r"\\:")))  # no colon here is a parameter


UP = ({up})
{down}'''


class Folder(Protocol):
    """Where a host keeps its migrations."""

    def holds(self, migration: Migration) -> Path | None:
        """The file that holds a migration."""
        ...

    def add(self, migration: Migration) -> Path:
        """Write a migration that isn't there, to be applied after all that are."""
        ...


def install(folder: Folder, migrations: Sequence[Migration]) -> list[str]:
    """Write the migrations that are missing; in a line each what was done."""
    said: list[str] = []
    for migration in migrations:
        if (file := folder.holds(migration)) is not None:
            said.append(f"kept  {shown(str(file))}")
        else:
            said.append(f"wrote {shown(str(folder.add(migration)))}")
    return said


@dataclass(slots=True)
class SqlFolder:
    """SQL files, named by the second they were written in: names sort as they are to apply."""

    path: Path
    _clock: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        _must_be_there(self.path)

    def holds(self, migration: Migration) -> Path | None:
        """The file that holds a migration: whatever stands before its id is the host's."""
        return next(self.path.glob(f"*{migration.id}.sql"), None)

    def add(self, migration: Migration) -> Path:
        """Write a migration."""
        file = self.path / f"{self._clock:%Y%m%d%H%M%S}_{migration.id}.sql"
        self._clock += timedelta(seconds=1)
        text = _SQL_HEAD.format(title=migration.title) + migration.up
        file.write_text(text, encoding="utf-8")
        return file


@dataclass(slots=True)
class AlembicFolder:
    """Alembic's versions. Ours follow its head; `after` says which, where there are several."""

    path: Path
    after: str | None = None
    _files: dict[str, Path] = field(init=False)
    _head: str | None = field(init=False)

    def __post_init__(self) -> None:
        _must_be_there(self.path)
        heads, self._files = _revisions(self.path)
        self._head = _only_head(heads, self.after)

    def holds(self, migration: Migration) -> Path | None:
        """The file of a revision."""
        return self._files.get(migration.id)

    def add(self, migration: Migration) -> Path:
        """Write a revision that follows the head, and is the head."""
        file = self.path / f"{migration.id}.py"
        file.write_text(_revision(migration, self._head), encoding="utf-8")
        self._files[migration.id] = file
        self._head = migration.id
        return file


def _must_be_there(folder: Path) -> None:
    if not folder.is_dir():
        raise Complaint(f"there is no folder {shown(str(folder))}", "make it, or name another one")


def _revisions(folder: Path) -> tuple[list[str], dict[str, Path]]:
    """The heads of a versions folder, and the file of each revision."""
    if find_spec("alembic") is None:
        raise Complaint(
            "Alembic isn't installed here, and only it can tell which revision comes last",
            "run this in the environment that your migrations run in, or write --sql files",
        )
    from alembic.script import ScriptDirectory  # noqa: PLC0415  # the host's, if it has it

    try:
        script = ScriptDirectory(str(folder.parent), version_locations=[str(folder)])
        files = {one.revision: Path(one.path) for one in script.walk_revisions()}
        return list(script.get_heads()), files
    except Exception as error:  # noqa: BLE001 (it imports the host's files)
        raise in_code(f"Alembic can't read {shown(str(folder))}", error) from None


def _only_head(heads: Sequence[str], after: str | None) -> str | None:
    if after is not None and after not in heads:
        names = ", ".join(heads) or "none"
        raise Complaint(f"{after!r} is no head of these revisions", f"the heads are: {names}")
    if after is None and len(heads) > 1:
        raise Complaint(
            f"these revisions have {len(heads)} heads: {', '.join(heads)}",
            "name the one to go on from with --after, or merge them first (alembic merge heads)",
        )
    return after or next(iter(heads), None)


def _revision(migration: Migration, after: str | None) -> str:
    undo = "    run(DOWN)"
    if migration.down is None:
        undo = f'    raise NotImplementedError("{migration.title} can\'t be taken back")'
    return _ALEMBIC.format(
        title=migration.title,
        id=migration.id,
        after=after or "",
        now=f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC",
        down_revision=after,
        downgrade=undo,
        up=_literals(migration.up),
        down=f"\nDOWN = ({_literals(migration.down)})\n" if migration.down else "",
    )


def _literals(script: str) -> str:
    assert '"""' not in script, "bundled SQL doesn't hold what ends a literal"
    return "\n" + "".join(f'    r"""\n{one}\n""",\n' for one in statements_of(script))
