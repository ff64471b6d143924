"""Workflows without mistakes, as an application declares them."""

from datetime import timedelta

from squid_mesh import (
    Constant,
    Exponential,
    Retry,
    Workflow,
    approval,
    complete,
    context,
    cron,
    log,
    manual,
    optional,
    pause,
    resource,
    step,
    wait,
    whole,
)
from tests.unit.definition import steps
from tests.unit.definition.steps import Bank, P, Required


class Join(Workflow[P]):
    """Two branches that come together, and one that waits."""

    account = step(steps.account).takes()
    fetched = step(steps.fetch, retry=Retry(3, Constant(timedelta(seconds=1)))).takes(P.url)
    joined = step(steps.take, output="everything").takes(
        {"email": account.output.email, "names": [fetched.output, account.output.point.x]}
    )
    tagged = step(steps.take, timeout=timedelta(seconds=5)).takes({"b", "a", "d", "c"})
    cool_off = wait(P.delay, after=[tagged])
    held = pause(after=[joined])
    paid = step(steps.with_bank, after=[held], queue="mail", formerly=["old:with_bank"]).takes(
        resource(Bank), url=P.url
    )


class Gate(Workflow[Required]):
    """A branch on data, an approval, and an error route."""

    weekly = cron("0 9 * * 1", timezone="Etc/UTC", payload=steps.week, missed="all", max_missed=3)
    by_hand = manual()

    scored = step(steps.score).takes(3)
    announced = log("Somebody must look at this", level="warning")
    review = approval(deadline=timedelta(days=2), output="decision")
    paid = step(
        steps.take, retry=Retry(5, Exponential(timedelta(seconds=1), timedelta(minutes=1)))
    ).takes([whole(Required), optional(review.output.comment)])
    noted = step(steps.with_context, on_interrupt="pause").takes(context)
    failed = step(steps.failed).takes(paid.error)
    flow = (
        scored.when("low") >> paid >> complete,
        scored.when("high") >> announced >> review,
        review.on_approved >> paid,
        review.on_rejected >> noted >> complete,
        review.on_timeout >> complete,
        paid.on_error >> failed >> complete,
    )


ALL = (Join, Gate)
