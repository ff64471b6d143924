"""Calls by which somebody decides about a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args
from uuid import UUID

from squid_mesh.engine.gates import Decided
from squid_mesh.errors import InvalidResume, InvalidReview, shown
from squid_mesh.inspection.models import Run
from squid_mesh.mesh.core import Actor, Core, parsed
from squid_mesh.runtime.cancelling import cancel
from squid_mesh.runtime.cases import Asked, GiveUp, Resolution, Supply, TryAgain
from squid_mesh.runtime.facts import Facts
from squid_mesh.runtime.telling import cancelled, decided

type How = Literal["retry", "complete", "fail"]
"""What becomes of an interrupted step."""


class Decisions(Core):
    """Going on, one way or another, and ending.

    What the calls about a paused step have in common:

    * `step`: the one that is meant, when several wait for such a decision.
    * `comment`, `metadata`: kept with the decision, as the audit shows it.
    * `key`: makes it idempotent: the same key with the same decision changes nothing again.
    * `conn`: the host's connection or session; the decision then commits with its own writes.

    They return the run after the move. By then (with `conn`: after the host's commit) the decision
    and the delivery of the next step are durable. They raise, and write nothing:

    * `InvalidReview` (`unblock_run`: `InvalidResume`) for an actor, comment, metadata or key of the
      wrong kind: all that is wrong, before anything is looked at;
    * `InvalidRunId`, `NotOpen`, `RunNotFound`; `KeyConflict` for a key of another decision;
    * `InvalidTransition` when nothing of the run waits, `InvalidStep` when what waits isn't what
      the call is for, `AmbiguousStep` when several do and none is named.
    """

    async def unblock_run(
        self,
        run_id: UUID | str,
        *,
        actor: Actor | None = None,
        step: str | None = None,
        comment: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        key: str | None = None,
        conn: Any = None,
    ) -> Run:
        """Let a run go on from a `pause`."""
        facts = Facts(actor=actor, comment=comment, metadata=metadata, key=key)
        asked = Asked(decided=Decided.RESUMED, facts=facts, step=step)
        return await self._decide(run_id, asked, conn)

    async def approve_run(
        self,
        run_id: UUID | str,
        *,
        actor: Actor,
        step: str | None = None,
        comment: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        key: str | None = None,
        conn: Any = None,
    ) -> Run:
        """Approve: the run goes on along `on_approved`, with a `Decision` as the gate's output."""
        facts = Facts(actor=actor, comment=comment, metadata=metadata, key=key)
        asked = Asked(decided=Decided.APPROVED, facts=facts, step=step)
        return await self._decide(run_id, asked, conn)

    async def reject_run(
        self,
        run_id: UUID | str,
        *,
        actor: Actor,
        step: str | None = None,
        comment: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        key: str | None = None,
        conn: Any = None,
    ) -> Run:
        """Reject: the run goes on along `on_rejected`, with a `Decision` as the gate's output.

        The gate has completed, not failed. In a dependency workflow its dependents begin all the
        same, and read from it what was decided.
        """
        facts = Facts(actor=actor, comment=comment, metadata=metadata, key=key)
        asked = Asked(decided=Decided.REJECTED, facts=facts, step=step)
        return await self._decide(run_id, asked, conn)

    async def resolve_step(
        self,
        run_id: UUID | str,
        how: How,
        *,
        actor: Actor,
        output: Any = None,
        step: str | None = None,
        comment: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        key: str | None = None,
        conn: Any = None,
    ) -> Run:
        """Decide about a step whose worker died in the middle, declared `on_interrupt="pause"`.

        `how` is "retry" (another attempt), "complete" (it was done after all; `output` is what it
        would have returned) or "fail" (its error route, or the run's failure). An output that the
        step's annotation refuses is an `InvalidReview`; that of a step whose code isn't loaded here
        an `IncompatibleCode`.
        """
        facts = Facts(actor=actor, comment=comment, metadata=metadata, key=key)
        asked = Asked(
            decided=Decided.RESOLVED, facts=facts, step=step, how=_resolution(how, output)
        )
        return await self._decide(run_id, asked, conn)

    async def cancel_run(
        self,
        run_id: UUID | str,
        *,
        actor: Actor | None = None,
        comment: str | None = None,
        conn: Any = None,
    ) -> Run:
        """Cancel a run: `cancelled` at once, or `cancelling` until the bodies under way have ended.

        After this has returned (with `conn`: after the host's commit) no step of the run begins.
        Cancelling twice changes nothing. Raises `InvalidReview`, `InvalidRunId`, `RunNotFound`, or
        `InvalidTransition` for a run that has completed or failed.
        """
        facts = Facts(actor=actor, comment=comment)
        if problems := facts.problems(needs_actor=False):
            raise InvalidReview(problems)
        wanted, process = parsed(run_id), self._process
        async with self._starter.transaction(conn) as connection:
            cancellation = await cancel(connection, self._statements, wanted, facts)
            run = await self._read(connection, wanted)
        if conn is None:
            process.waiters.tell(wanted, cancellation.status)
            if self._telemetry.is_heard:
                for event in cancelled(wanted, run.workflow, cancellation):
                    self._telemetry.tell(event)
        return run

    async def _decide(self, run_id: UUID | str, asked: Asked, conn: Any) -> Run:
        _check(asked)
        wanted, process = parsed(run_id), self._process
        async with self._starter.transaction(conn) as connection:
            plan = await self._plan_of(connection, wanted)
            moved = await self._decider.decide(connection, wanted, plan, asked)
            run = await self._read(connection, wanted)
        if conn is None and moved is not None:
            process.waiters.tell(wanted, moved.status)
            if self._telemetry.is_heard:
                for event in decided(wanted, run.workflow, moved, asked.decided):
                    self._telemetry.tell(event)
        return run


def _check(asked: Asked) -> None:
    """Raise `InvalidReview` or `InvalidResume` for facts of the wrong kind."""
    resumes = asked.decided is Decided.RESUMED
    problems = asked.facts.problems(needs_actor=not resumes)
    problems |= _problem_of_step(asked.step)
    if problems:
        raise InvalidResume(problems) if resumes else InvalidReview(problems)


def _problem_of_step(step: object) -> dict[str, str]:
    if step is None or isinstance(step, str):
        return {}
    return {"step": f"is {shown(step)}: pass the name of a step"}


def _resolution(how: How, output: Any) -> Resolution:
    """What is asked for. Raises `InvalidReview`."""
    if how not in get_args(How.__value__):
        raise InvalidReview({"how": f'is {shown(how)}: pass "retry", "complete" or "fail"'})
    if how == "complete":
        return Supply(output)
    if output is not None:
        raise InvalidReview({"output": f'goes with "complete", not with {how!r}'})
    return TryAgain() if how == "retry" else GiveUp()
