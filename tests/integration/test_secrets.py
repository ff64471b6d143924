"""Secrets are planted wherever a run can hold one, and nothing that is shown repeats any."""

import logging
from collections.abc import AsyncGenerator, Iterator
from dataclasses import asdict
from datetime import timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID

import orjson
import pytest
from pydantic import BaseModel, Field, SecretStr, TypeAdapter, field_validator

from squid_mesh import (
    SETTLED,
    Constant,
    InvalidPayload,
    InvalidTransition,
    Mesh,
    Payload,
    Retry,
    StepError,
    WaitTimeout,
    Workflow,
    approval,
    complete,
    step,
)
from squid_mesh.telemetry import Event
from tests.clock import every
from tests.meshes import ended, history, on_host

TOKEN, PASSWORD, ISSUED, PIN = 'hunter2 & c"o', "correct-horse", "battery-staple", "739"
PLANTED = (TOKEN, PASSWORD, ISSUED)


class Credentials(BaseModel):
    user: str
    password: SecretStr


class Account(Payload):
    """`token` is a secret, `credentials` holds one, and every error can be made of them."""

    token: SecretStr
    credentials: Credentials
    pin: SecretStr = SecretStr(PIN)
    how: str

    @field_validator("how")
    @classmethod
    def is_known(cls, how: str) -> str:
        if how == "told":
            raise ValueError(f"not with {TOKEN}")
        return how


class Issued(BaseModel):
    key: SecretStr
    for_whom: str


class Strict(BaseModel):
    number: int = Field(gt=7)


async def issue(token: SecretStr) -> Issued:
    return Issued(key=SecretStr(ISSUED), for_whom="ada")


def spill(
    how: str, token: SecretStr, credentials: Credentials, issued: Issued, pin: SecretStr
) -> str:
    """Raises every kind of error with everything in it."""
    told = [token, credentials.password, issued.key]
    values = [secret.get_secret_value() for secret in told]
    match how:
        case "plain":
            raise ValueError(f"can't log in with {values} at https://x/?t={quote(values[0])}")
        case "details":
            raise StepError(
                f"no: {values}", code=values[1], details={"tried": values, values[2]: told}
            )
        case "key":
            raise KeyError(values[0])
        case "pydantic":
            TypeAdapter(list[Strict]).validate_python(values)
        case "json":
            raise RuntimeError(orjson.dumps(values).decode())
        case "pin":
            raise RuntimeError(f"pin {pin.get_secret_value()} of 51739")
        case _:
            return "fine"
    raise AssertionError


async def note(message: str) -> str:
    return message


class Leaking(Workflow[Account]):
    issue = step(issue).takes(Account.token)
    spill = step(spill, retry=Retry(2, Constant(timedelta(milliseconds=1)))).takes(
        Account.how, Account.token, Account.credentials, issue.output, Account.pin
    )
    note = step(note).takes(spill.error.message)
    review = approval()
    flow = (
        issue >> spill >> review,
        spill.on_error >> note >> review,
        review.on_approved >> complete,
        review.on_rejected >> complete,
    )


class Failing(Workflow[Account], name="Failing"):
    issue = step(issue).takes(Account.token)
    spill = step(spill).takes(
        Account.how, Account.token, Account.credentials, issue.output, Account.pin
    )
    flow = issue >> spill >> complete


def account(how: str) -> Account:
    credentials = Credentials(user="ada", password=SecretStr(PASSWORD))
    return Account(token=SecretStr(TOKEN), credentials=credentials, how=how)


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
async def mesh(
    dsn: str, events: list[Event], caplog: pytest.LogCaptureFixture
) -> AsyncGenerator[Mesh]:
    caplog.set_level(logging.DEBUG)
    async with on_host(dsn, [Leaking, Failing], observers=[events.append]) as mesh:
        yield mesh


def forms(secret: str) -> set[str]:
    return {secret, repr(secret)[1:-1], orjson.dumps(secret).decode()[1:-1], quote(secret)}


def found_in(shown: str) -> list[str]:
    """The secrets that a text repeats, in any form."""
    return [form for secret in PLANTED for form in forms(secret) if form in shown]


async def everything(mesh: Mesh, run_id: UUID) -> AsyncGenerator[tuple[str, object]]:
    """Whatever can be seen of a run."""
    details = await history(mesh, run_id)
    short = await mesh.inspect_run(run_id)
    page = await mesh.list_runs()
    explanation = await mesh.explain_run(run_id)
    graph = await mesh.inspect_run_graph(run_id, include_details=True)
    seen: dict[str, object] = {
        "a run": short,
        "its payload": short.payload,
        "its error": short.error and asdict(short.error),
        "its history": details,
        "its context": details.context,
        "its steps": [(s.input, s.output, s.error and asdict(s.error)) for s in details.steps],
        "its attempts": [
            attempt.error and asdict(attempt.error)
            for state in details.steps
            for attempt in state.attempts
        ],
        "its audit": [(e.actor, e.comment, e.metadata) for e in details.audit_events],
        "a list": page,
        "an explanation": explanation,
        "its evidence": (explanation.details, explanation.evidence),
        "a graph": graph.to_dict(),
        "a drawing": graph.to_mermaid(),
    }
    for name, value in seen.items():
        yield name, value


async def assert_hidden(
    mesh: Mesh, run_id: UUID, events: list[Event], caplog: pytest.LogCaptureFixture
) -> None:
    async for name, value in everything(mesh, run_id):
        for shown in (repr(value), str(value)):
            assert found_in(shown) == [], name
    assert found_in(repr(events)) == []
    assert found_in(caplog.text) == []
    for record in caplog.records:
        assert found_in(repr(vars(record))) == []


async def stored_errors(dsn: str) -> Iterator[str]:
    rows = await every(
        dsn,
        "select error::text from squid_mesh.attempts union all"
        " select error::text from squid_mesh.steps union all"
        " select error::text from squid_mesh.runs union all"
        " select s.input::text from squid_mesh.steps s union all"
        " select errors::text from oban_jobs",
    )
    return (row[0] for row in rows if row[0] is not None)


WAYS = ("plain", "details", "key", "pydantic", "json")


@pytest.mark.parametrize("how", WAYS)
async def test_an_error_repeats_no_secret(
    mesh: Mesh, dsn: str, how: str, events: list[Event], caplog: pytest.LogCaptureFixture
) -> None:
    run = await mesh.start_run(Failing, account(how))
    details = await ended(mesh, run.id)
    assert details.status == "failed"
    assert details.error is not None
    assert ("**********" in details.error.message) == (how != "pydantic")
    await assert_hidden(mesh, run.id, events, caplog)
    for error in await stored_errors(dsn):
        assert found_in(error) == []


@pytest.mark.parametrize("how", WAYS)
async def test_what_was_handed_on_and_said_about_it_repeats_no_secret(
    mesh: Mesh, dsn: str, how: str, events: list[Event], caplog: pytest.LogCaptureFixture
) -> None:
    """The error goes to another step, as its input and its output; people repeat the secret."""
    run = await mesh.start_run(Leaking, account(how))
    await ended(mesh, run.id, until=SETTLED)
    await assert_hidden(mesh, run.id, events, caplog)
    said = {"comment": f"used {TOKEN}", "metadata": {"key": ISSUED, PASSWORD: 1}}
    await mesh.approve_run(run.id, actor={"name": "ada", "token": TOKEN}, **said)  # type: ignore[arg-type]
    details = await ended(mesh, run.id)
    assert details.status == "completed"
    (approved,) = [event for event in details.audit_events if event.type == "approved"]
    assert approved.comment == "used **********"
    assert approved.metadata == {"key": "**********", "**********": 1}
    await assert_hidden(mesh, run.id, events, caplog)
    for error in await stored_errors(dsn):
        assert found_in(error) == []


async def test_a_cancellation_s_comment_repeats_no_secret(
    mesh: Mesh, events: list[Event], caplog: pytest.LogCaptureFixture
) -> None:
    run = await mesh.start_run(Leaking, account("fine"))
    await ended(mesh, run.id, until=SETTLED)
    cancelled = await mesh.cancel_run(run.id, actor=TOKEN, comment=f"leaked {ISSUED}")
    assert cancelled.status == "cancelled"
    explanation = await mesh.explain_run(run.id)
    assert explanation.sentence == "It was cancelled by **********."
    await assert_hidden(mesh, run.id, events, caplog)


async def test_a_short_secret_is_hidden_where_it_stands_alone(mesh: Mesh) -> None:
    run = await mesh.start_run(Failing, account("pin"))
    details = await ended(mesh, run.id)
    assert details.error is not None
    assert details.error.message == "pin ********** of 51739"


async def test_what_is_no_secret_is_shown(mesh: Mesh) -> None:
    run = await mesh.start_run(Leaking, account("fine"))
    details = await ended(mesh, run.id, until=SETTLED)
    assert details.context["issue"] == {"key": "**********", "for_whom": "ada"}
    spilled = details.steps[1]
    assert spilled.output == "fine"
    assert spilled.input == {
        "how": "fine",
        "token": "**********",
        "credentials": "**********",
        "issued": {"key": "**********", "for_whom": "ada"},
        "pin": "**********",
    }
    assert details.output(Leaking.issue).key.get_secret_value() == ISSUED


async def test_what_is_raised_repeats_no_secret(mesh: Mesh) -> None:
    run = await mesh.start_run(Leaking, account("details"))
    await ended(mesh, run.id, until=SETTLED)
    raised: list[BaseException] = []
    with pytest.raises(WaitTimeout) as timeout:
        await mesh.wait_for_run(run.id, timeout=timedelta(seconds=0.01))
    raised.append(timeout.value)
    assert found_in(repr(timeout.value.run)) == []
    await mesh.reject_run(run.id, actor="ada")
    with pytest.raises(InvalidTransition) as transition:
        await mesh.cancel_run(run.id)
    raised.append(transition.value)
    wrong: list[dict[str, Any]] = [
        {"token": TOKEN, "credentials": {"user": 7, "password": PASSWORD}, "how": "x"},
        {"token": TOKEN, "credentials": PASSWORD, "how": "told"},
        {"token": [TOKEN], "credentials": {"user": "a", "password": {"x": PASSWORD}}, "how": "x"},
    ]
    for payload in wrong:
        with pytest.raises(InvalidPayload) as invalid:
            await mesh.start_run(Leaking, payload)
        raised.append(invalid.value)
    for error in raised:
        assert found_in(repr(error) + str(error) + repr(vars(error))) == []


async def test_a_mapping_may_hold_secrets(mesh: Mesh) -> None:
    """What SecretStr writes as asterisks is stored as what it is."""
    payload = {
        "token": SecretStr(TOKEN),
        "credentials": {"user": "ada", "password": SecretStr(PASSWORD)},
        "how": "fine",
    }
    run = await mesh.start_run(Leaking, payload, key="once")
    again = await mesh.start_run(Leaking, account("fine"), key="once")
    assert (again.id, again.created) == (run.id, False)


async def test_without_the_code_all_text_of_what_holds_a_secret_is_hidden(
    mesh: Mesh, dsn: str, events: list[Event], caplog: pytest.LogCaptureFixture
) -> None:
    run = await mesh.start_run(Failing, account("details"))
    await ended(mesh, run.id)
    async with on_host(dsn, [], name="reader", queues={}) as reader:
        await assert_hidden(reader, run.id, events, caplog)
        details = await history(reader, run.id)
    assert details.context["issue"] == "**********"
