"""Workflows that each break one rule, by what the rule is about."""

from tests.unit.definition.cases import (
    branches,
    classes,
    declarations,
    functions,
    graph,
    inputs,
    options,
    paths,
    transactions,
    transitions,
    triggers,
    wires,
)

CASES = [
    *branches.CASES,
    *classes.CASES,
    *declarations.CASES,
    *functions.CASES,
    *graph.CASES,
    *inputs.CASES,
    *options.CASES,
    *paths.CASES,
    *transactions.CASES,
    *transitions.CASES,
    *triggers.CASES,
    *wires.CASES,
]
