"""Calls that start runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from squid_mesh.definition.payload import Payload
from squid_mesh.definition.workflow import Workflow
from squid_mesh.errors import InvalidReview, shown
from squid_mesh.inspection import reading
from squid_mesh.inspection.models import Run
from squid_mesh.mesh.core import Actor, Core, parsed
from squid_mesh.runtime.facts import Facts
from squid_mesh.runtime.starter import Held, Started
from squid_mesh.runtime.starting import Request, to_start


class Starts(Core):
    """Starting runs, one or many."""

    async def start_run[T: Payload](
        self,
        workflow: type[Workflow[T]],
        payload: T | Mapping[str, Any] | None = None,
        *,
        trigger: str | None = None,
        key: str | None = None,
        tags: Mapping[str, str] | None = None,
        priority: int = 0,
        conn: Any = None,
    ) -> Run:
        """Start a run and return it, `pending`.

        * `trigger`: the first declared one unless named.
        * `key`: makes starting idempotent: a key that is known, with the same trigger and payload,
          gives the run that holds it, as it is now, with `created=False`.
        * `priority`: lower begins first, from -2 to 4.
        * `conn`: the host's connection or session; the run then commits, or not, with the host's
          own writes.

        Raises `InvalidPayload`, `InvalidTrigger`, `UnknownWorkflow`, `PayloadTooLarge` or
        `KeyConflict`; `ValueError` or `TypeError` for a key, tags, a priority or a `conn` that
        can't be. Nothing is written then. On a `conn` that is stricter than read committed, a key
        that was taken since its transaction began is psycopg's `SerializationFailure`.
        """
        definition = self._catalog.definition(workflow)
        request = Request(payload=payload, trigger=trigger, key=key, tags=tags, priority=priority)
        start = to_start(definition, request)
        started = await self._starter.start(start, self._process.ledger, conn)
        self._process.lookout.started(start.workflow)
        return await self._as_run(started, conn)

    async def start_runs[T: Payload](
        self,
        workflow: type[Workflow[T]],
        payloads: Sequence[T | Mapping[str, Any]],
        *,
        keys: Sequence[str | None] | None = None,
        tags: Mapping[str, str] | None = None,
        conn: Any = None,
    ) -> list[Run]:
        """Start a run for each payload, in order: all of them, or none.

        Raises what `start_run` raises; `InvalidPayload.index` is the place of the payload.
        """
        self._check_open()
        definition = self._catalog.definition(workflow)
        _check_list("payloads", payloads)
        keys = [None] * len(payloads) if keys is None else keys
        _check_list("keys", keys)
        if len(keys) != len(payloads):
            raise ValueError(f"{len(keys)} keys for {len(payloads)} payloads: give one for each")
        starts = [
            to_start(definition, Request(payload=payload, key=key, tags=tags), index)
            for index, (payload, key) in enumerate(zip(payloads, keys, strict=True))
        ]
        started = await self._starter.start_all(starts, conn)
        self._process.lookout.started(definition.spec.name)
        return [await self._as_run(one, conn) for one in started]

    async def replay_run(
        self,
        run_id: UUID | str,
        *,
        actor: Actor | None = None,
        comment: str | None = None,
        conn: Any = None,
    ) -> Run:
        """Start a new run with the payload of another, in whatever state that is, and return it.

        It runs the workflow's current definition, which has to accept the stored payload and still
        declare its trigger. Trigger, tags and priority are kept, key and window aren't;
        `replayed_from` leads back. The other run is left as it is. Raises `InvalidReview`,
        `InvalidRunId`, `RunNotFound`, `UnknownWorkflow`, `InvalidTrigger` or `InvalidPayload`.
        """
        facts = Facts(actor=actor, comment=comment)
        if problems := facts.problems(needs_actor=False):
            raise InvalidReview(problems)
        wanted, process = parsed(run_id), self._process
        async with self._starter.connection(conn) as connection:
            source = await self._reader.row(connection, wanted)
        request = Request(
            payload=source["payload"],
            trigger=source["trigger"],
            tags=source["tags"],
            priority=source["priority"],
        )
        start = to_start(self._catalog.definition(source["workflow"]), request)
        started = await self._starter.replay(
            replace(start, replayed_from=wanted), facts, conn, trace=source["trace"]
        )
        process.lookout.started(start.workflow)
        return await self._as_run(started, conn)

    async def _as_run(self, started: Started | Held, conn: Any) -> Run:
        match started:
            case Started(start, inserted_at):
                spec = self._catalog.definition(start.workflow).spec
                return reading.pending(start, inserted_at, reading.secrets(spec))
            case Held(run_id):
                async with self._starter.connection(conn) as connection:
                    return await self._read(connection, run_id, created=False)


def _check_list(what: str, given: object) -> None:
    if isinstance(given, str | bytes) or not isinstance(given, Sequence):
        raise TypeError(f"{what}={shown(given)}: pass a list")
