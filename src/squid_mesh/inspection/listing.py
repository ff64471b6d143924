"""What a list of runs is asked for: checked as a whole, and served by one of a few statements.

Every statement reads one index in the order of the page, so that a page costs the same however
many runs there are, however rare they are and however deep it is.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Self, cast
from uuid import UUID

import orjson

from squid_mesh.engine.states import RunStatus
from squid_mesh.errors import InvalidFilter

LONGEST_PAGE = 1000
"""Runs on one page, at most."""

_MANY = 1000
"""Runs of one tag that are counted (`find_rarest_tag`) before it counts as common."""

LEAVE = timedelta(hours=1)
"""How far the clock of a process that starts runs may be away from the database's."""

type Source = Literal["find_newest", "find_by_state", "find_by_tag", "find_at_step", "find_replays"]
"""The statement that finds a page."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ends, and the next one begins."""

    inserted_at: datetime
    run_id: UUID

    @classmethod
    def of(cls, cursor: str) -> Self:
        """The place that a cursor names. Raises `ValueError` for text that is none."""
        inserted_at, run_id = orjson.loads(base64.urlsafe_b64decode(cursor))
        place = cls(datetime.fromisoformat(inserted_at), UUID(run_id))
        if place.inserted_at.tzinfo is None:
            raise ValueError("a moment without a zone")
        return place

    @property
    def cursor(self) -> str:
        """The place as opaque text."""
        return base64.urlsafe_b64encode(orjson.dumps([self.inserted_at, self.run_id])).decode()


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag, and how many runs have it: a thousand stands for more."""

    key: str
    value: str
    n: int

    @property
    def is_rare(self) -> bool:
        """Whether so few runs have it that all of them can be looked at."""
        return self.n < _MANY


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What is wanted, of which page. None is anything."""

    workflow: str | None
    statuses: frozenset[RunStatus] | None
    trigger: str | None
    step: str | None
    tags: Mapping[str, str] | None
    since: datetime | None
    until: datetime | None
    replayed_from: UUID | None
    limit: int
    after: Place | None

    @classmethod
    def of(
        cls,
        *,
        status: object,
        tags: object,
        since: object,
        until: object,
        replayed_from: object,
        limit: object,
        cursor: object,
        **names: object,
    ) -> Self:
        """Filters from what a caller wrote; `names` are workflow, trigger and step.

        Raises `InvalidFilter` with everything that is wrong.
        """
        check = _Check()
        filters = cls(
            **{name: check.text(name, value) for name, value in names.items()},
            statuses=check.statuses(status),
            tags=check.tags(tags),
            since=check.moment("since", since),
            until=check.moment("until", until),
            replayed_from=check.run_id(replayed_from),
            limit=check.limit(limit),
            after=check.cursor(cursor),
        )
        if filters.since and filters.until and filters.since > filters.until:
            check.problems["since"] = f"is {filters.since}, after until, {filters.until}"
        if check.problems:
            raise InvalidFilter(check.problems)
        return filters

    def source(self, rarest: Tag | None) -> Source:
        """The statement that finds such a page: through what likely leaves the fewest runs."""
        by_state = any(f is not None for f in (self.statuses, self.workflow, self.trigger))
        if self.replayed_from is not None:
            return "find_replays"
        if rarest is not None and (rarest.is_rare or (self.step is None and not by_state)):
            return "find_by_tag"
        if self.step is not None:
            return "find_at_step"
        return "find_by_state" if by_state else "find_newest"

    @property
    def tags_json(self) -> str | None:
        """The tags as a parameter."""
        return orjson.dumps(self.tags).decode() if self.tags else None

    def parameters(self, rarest: Tag | None, shift: timedelta = timedelta()) -> dict[str, Any]:
        """The parameters of every such statement; one run more than the page tells of another.

        `shift` is how far the database's clock is ahead of the processes'.
        """
        statuses = self.statuses
        if statuses is None and self.source(rarest) == "find_by_state":
            statuses = frozenset(RunStatus)
        return {
            "workflow": self.workflow,
            "statuses": None if statuses is None else sorted(map(str, statuses)),
            "trigger": self.trigger,
            "step": self.step,
            "tags": self.tags_json,
            "tag": rarest and rarest.key,
            "tag_value": rarest and rarest.value,
            "since": self.since,
            "until": self.until,
            "replayed_from": self.replayed_from,
            "first_id": self.since and _id_at(self.since - shift - LEAVE),
            "last_id": self.until and _id_at(self.until + LEAVE),
            "before": self.after and self.after.inserted_at,
            "before_id": self.after and self.after.run_id,
            "limit": self.limit + 1,
        }


def _id_at(moment: datetime) -> UUID:
    """The first id that a process would make at a moment."""
    return UUID(int=max(0, int(moment.timestamp() * 1000)) << 80)


class _Check:
    """Reads what a caller wrote, and gathers what is wrong with it."""

    def __init__(self) -> None:
        self.problems: dict[str, str] = {}

    def text(self, name: str, value: object) -> str | None:
        if value is None or (isinstance(value, str) and "\0" not in value):
            return value
        self.problems[name] = f"is {value!r}: pass its name"
        return None

    def statuses(self, value: object) -> frozenset[RunStatus] | None:
        if value is None:
            return None
        with self._told("status", f"is {value!r}: pass one of {', '.join(RunStatus)}, or several"):
            many = [value] if isinstance(value, str) else cast("Collection[str]", value)
            return frozenset(map(RunStatus, many))
        return None

    def tags(self, value: object) -> dict[str, str] | None:
        if value is None:
            return None
        if isinstance(value, Mapping):
            tags = dict(cast("Mapping[object, object]", value))
            if all(
                isinstance(text, str) and "\0" not in text for tag in tags.items() for text in tag
            ):
                return cast("dict[str, str]", tags)
        self.problems["tags"] = f"is {value!r}: pass a mapping from text to text"
        return None

    def moment(self, name: str, value: object) -> datetime | None:
        if value is None:
            return None
        if isinstance(value, datetime) and value.utcoffset() is not None:
            return value
        self.problems[name] = f"is {value!r}: pass a datetime with a time zone"
        return None

    def run_id(self, value: object) -> UUID | None:
        if value is None or isinstance(value, UUID):
            return value
        with self._told("replayed_from", f"is {value!r}, not a run id: pass a UUID or its text"):
            return UUID(cast("str", value))
        return None

    def limit(self, value: object) -> int:
        if type(value) is int and 1 <= value <= LONGEST_PAGE:
            return value
        self.problems["limit"] = f"is {value!r}: ask for 1 to {LONGEST_PAGE} runs"
        return LONGEST_PAGE

    def cursor(self, value: object) -> Place | None:
        if value is None:
            return None
        with self._told("cursor", f"is {value!r}: pass next_cursor of a page"):
            return Place.of(cast("str", value))
        return None

    @contextmanager
    def _told(self, name: str, problem: str) -> Generator[None]:
        try:
            yield
        except (ValueError, TypeError, AttributeError, OverflowError):
            self.problems[name] = problem
