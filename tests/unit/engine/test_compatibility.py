from typing import Any

import pytest

from squid_mesh.definition.spec import (
    ActionSpec,
    Constant,
    Injected,
    Origin,
    ParameterSpec,
    Reference,
    StepKind,
    StepSpec,
)
from squid_mesh.definition.values import Codec
from squid_mesh.engine.compatibility import misfits

INT, STR, NONE, ANY = (Codec(annotation).digest for annotation in (int, str, None, Any))


def function(*parameters: ParameterSpec, output: str = STR, name: str = "app:post") -> ActionSpec:
    return ActionSpec(name, parameters, output)


def needed(name: str, schema: str | None = STR) -> ParameterSpec:
    return ParameterSpec(name, required=True, schema=schema)


def defaulted(name: str, schema: str | None = STR) -> ParameterSpec:
    return ParameterSpec(name, required=False, schema=schema)


def pinned(*parameters: ParameterSpec, output: str = STR) -> StepSpec:
    """A step wired to a payload field, a constant and the context; nothing to `extra`."""
    return StepSpec(
        "post",
        StepKind.ACTION,
        output="post",
        action=function(*parameters, output=output),
        inputs={
            "url": Reference(Origin.PAYLOAD, path=("url",)),
            "title": Constant("Today"),
            "context": Injected("context"),
        },
    )


PARAMETERS = (needed("url"), needed("title"), needed("context", None), defaulted("extra", INT))
URL, TITLE, CONTEXT, EXTRA = PARAMETERS


@pytest.mark.parametrize(
    "loaded",
    [
        pytest.param(function(*PARAMETERS), id="as it was"),
        pytest.param(function(*reversed(PARAMETERS)), id="in another order"),
        pytest.param(function(*PARAMETERS, name="app.new:renamed"), id="by another name"),
        pytest.param(function(URL, TITLE, CONTEXT), id="without one that nothing is wired to"),
        pytest.param(
            function(*PARAMETERS, defaulted("new")), id="with a new one that has a default"
        ),
        pytest.param(function(URL, defaulted("title"), CONTEXT), id="with a new default"),
        pytest.param(
            function(URL, TITLE, CONTEXT, defaulted("extra", STR)), id="unwired, of another type"
        ),
        pytest.param(function(URL, TITLE, needed("context", INT)), id="injected, of another type"),
        pytest.param(function(needed("url", ANY), TITLE, CONTEXT), id="one widened to Any"),
    ],
)
def test_a_function_fits_that_can_be_called_as_the_step_is_wired(loaded: ActionSpec) -> None:
    assert misfits(pinned(*PARAMETERS), loaded) == ()


@pytest.mark.parametrize(
    ("loaded", "reasons"),
    [
        (function(TITLE, CONTEXT), ["parameter 'url' is gone"]),
        (function(URL, TITLE), ["parameter 'context' is gone"]),
        (function(needed("link"), TITLE, CONTEXT),
         ["parameter 'url' is gone", "parameter 'link' is required, and nothing is wired to it"]),
        (function(needed("url", INT), TITLE, CONTEXT), ["parameter 'url' takes another type"]),
        (function(URL, needed("title", INT), CONTEXT), ["parameter 'title' takes another type"]),
        (function(*PARAMETERS, needed("new")),
         ["parameter 'new' is required, and nothing is wired to it"]),
        (function(URL, TITLE, CONTEXT, needed("extra", INT)),
         ["parameter 'extra' is required, and nothing is wired to it"]),
        (function(*PARAMETERS, output=INT), ["the output is of another type"]),
        (function(*PARAMETERS, output=NONE), ["the output is of another type"]),
        (function(*PARAMETERS, output=ANY), ["the output is of another type"]),
        (function(needed("url", INT), needed("new"), output=INT),
         ["parameter 'url' takes another type", "parameter 'title' is gone",
          "parameter 'context' is gone", "parameter 'new' is required, and nothing is wired to it",
          "the output is of another type"]),
    ],
)  # fmt: skip
def test_every_reason_why_a_function_no_longer_fits_is_told(
    loaded: ActionSpec, reasons: list[str]
) -> None:
    assert list(misfits(pinned(*PARAMETERS), loaded)) == reasons


def test_a_parameter_that_took_anything_may_not_become_picky() -> None:
    step = pinned(needed("url", ANY), TITLE, CONTEXT)
    assert misfits(step, function(*PARAMETERS)) == ("parameter 'url' takes another type",)


@pytest.mark.parametrize("output", [INT, NONE, ANY])
def test_an_output_that_was_anything_may_be_something_now(output: str) -> None:
    assert misfits(pinned(*PARAMETERS, output=ANY), function(*PARAMETERS, output=output)) == ()


def test_a_built_in_step_calls_nothing_and_fits_always() -> None:
    assert misfits(StepSpec("hold", StepKind.PAUSE, output="hold"), function(needed("x"))) == ()
