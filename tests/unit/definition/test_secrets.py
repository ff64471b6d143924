"""Secrets are found by what they say, wherever they got to."""

import json
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretBytes, SecretStr

from squid_mesh.definition.secrets import MASK, NO_SECRETS, Secrets, revealed
from squid_mesh.definition.spec import (
    ActionSpec,
    FieldSpec,
    PayloadSpec,
    StepKind,
    StepSpec,
    WorkflowSpec,
)
from squid_mesh.definition.values import Codec


class Credentials(BaseModel):
    user: str
    password: SecretStr
    others: list[SecretStr] = []
    by_name: dict[str, SecretStr] = {}


class Account(BaseModel):
    user: str
    token: SecretStr
    credentials: Credentials


def spec(*fields: str, secret_step: bool = False) -> WorkflowSpec:
    action = ActionSpec("m:f", secret=secret_step)
    return WorkflowSpec(
        name="W",
        flow=True,
        triggers=(),
        payload=PayloadSpec(
            "m:P",
            tuple(
                FieldSpec(name, required=True, schema="", secret=name in fields)
                for name in Account.model_fields
            ),
        ),
        steps=(
            StepSpec("issue", StepKind.ACTION, "issue", action),
            StepSpec("pause", StepKind.PAUSE, "pause"),
        ),
    )


PAYLOAD = {
    "user": "ada",
    "token": "sesame",
    "credentials": {
        "user": "lovelace",
        "password": "opensesame",
        "others": ["first", "second"],
        "by_name": {"x": "third"},
    },
}
FIELDS = ("token", "credentials")


def test_loaded_code_tells_which_text_is_secret() -> None:
    found = Secrets.of(spec(*FIELDS), PAYLOAD, {}, {}, Codec(Account))
    assert found.texts == {"sesame", "opensesame", "first", "second", "third"}


@pytest.mark.parametrize("codec", [None, Codec(Any), Codec(Credentials)], ids=repr)
def test_without_code_that_reads_it_all_text_of_a_secret_field_is(codec: Codec | None) -> None:
    found = Secrets.of(spec(*FIELDS), PAYLOAD, {}, {}, codec)
    assert found.texts == {"sesame", "lovelace", "opensesame", "first", "second", "third"}


@pytest.mark.parametrize(
    "payload", [{}, {"user": "ada"}, None, {"token": ""}, {"token": 7}], ids=repr
)
def test_there_may_be_none(payload: Any) -> None:
    assert Secrets.of(spec(*FIELDS), payload, {}, {}) == NO_SECRETS


def test_a_definition_without_secrets_has_none() -> None:
    assert Secrets.of(spec(), PAYLOAD, {"issue": "sesame"}, {}) == NO_SECRETS


def test_an_output_s_secrets_are_found_too() -> None:
    told = spec(secret_step=True)
    outputs = {"issue": {"user": "ada", "password": "sesame"}, "pause": "no"}
    precise = Secrets.of(told, {}, outputs, {"issue": Codec(Credentials)})
    assert precise.texts == {"sesame"}
    assert Secrets.of(told, {}, outputs, {}).texts == {"ada", "sesame"}
    assert Secrets.of(told, {}, {}, {}) == NO_SECRETS


SECRETS = Secrets(frozenset({"sesame", 'a "quoted"/\\ &key', "é€", "123", "sesame street"}))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nothing", "nothing"),
        ("the word is sesame", f"the word is {MASK}"),
        ("opensesames", f"open{MASK}s"),
        ("sesame street", MASK),
        (f"{ {'k': 'a "quoted"/\\ &key'} }", f"{ {'k': MASK} }"),
        (json.dumps({"k": 'a "quoted"/\\ &key', "e": "é€"}), json.dumps({"k": MASK, "e": MASK})),
        ("https://x/?k=" + quote_plus('a "quoted"/\\ &key'), f"https://x/?k={MASK}"),
        ("card 123", f"card {MASK}"),
        ("port 51234", "port 51234"),
        ("", ""),
    ],
)
def test_a_text_is_shown_without_them(text: str, shown: str) -> None:
    assert SECRETS.hide(text) == shown
    assert NO_SECRETS.hide(text) == text


def test_json_is_shown_without_them() -> None:
    value = {"sesame": ["sesame", 7, None, {"k": "123"}], "k": True}
    assert SECRETS.hide_in(value) == {MASK: [MASK, 7, None, {"k": MASK}], "k": True}
    assert NO_SECRETS.hide_in(value) is value


@given(secret=st.text(min_size=5), before=st.text(), after=st.text())
def test_no_text_that_holds_a_secret_still_holds_it(secret: str, before: str, after: str) -> None:
    shown = Secrets(frozenset({secret})).hide(before + secret + after)
    assert MASK in shown
    assert secret not in shown.replace(MASK, "") or secret in before + after


def test_what_was_written_with_secrets_is_told_as_plain_values() -> None:
    written = {
        "token": SecretStr("sesame"),
        "parts": [SecretBytes(b"x"), ("y", SecretStr("z"))],
        "n": 7,
    }
    assert revealed(written) == {"token": "sesame", "parts": [b"x", ["y", "z"]], "n": 7}
