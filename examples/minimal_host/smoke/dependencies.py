"""Dependencies: what needs two steps begins after both."""

from examples.minimal_host.stage import Stage


async def dependencies(stage: Stage) -> None:
    """What needs both begins after both."""
    run = await stage.workflows.start_dependency_recovery("acct_1", "invoice-1")
    details = await stage.workflows.wait_for_end(run.id)
    stage.checks.that("status", str(details.status), "completed")
    steps = [(each.step, str(each.status), each.depends_on) for each in details.steps]
    expected = [
        ("load_account", "completed", ()),
        ("load_invoice", "completed", ()),
        ("prepare_notification", "completed", ("load_account", "load_invoice")),
    ]
    stage.checks.that("steps", steps, expected)
