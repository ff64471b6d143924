"""Mistakes around steps, inputs and payloads. Both checkers must report each marked line."""

from squid_mesh import Mesh, Retry, RunDetails, Workflow, complete, context, cron, log, resource
from squid_mesh import session, step, wait, whole

from tests.typing.accepted.digest import Client, Digest, DigestPayload, PostDigest
from tests.typing.accepted.digest import build_digest, fetch_feed, keep, post, record
from tests.typing.accepted.join import NotificationPayload


class Elsewhere:
    pass


class W(Workflow[DigestPayload]):
    fetched = step(fetch_feed).takes(resource(Client), DigestPayload.feed_url, {})
    built = step(build_digest).takes(fetched.output, DigestPayload.posted_on, {})
    said = log("Hello")

    # inputs
    a1 = step(build_digest).takes(fetched.output, posted=DigestPayload.posted_on, options={})  # rejected: misspelt input
    a2 = step(build_digest).takes(fetched.output, options={})  # rejected: forgotten input
    a3 = step(build_digest).takes(feed=built.output, posted_on="", options={})  # rejected: wrong output
    a4 = step(build_digest).takes(fetched.output, posted_on=5, options={})  # rejected: wrong constant
    a5 = step(build_digest).takes(fetched.output, DigestPayload.headers, {})  # rejected: wrong payload field
    a6 = step(fetch_feed).takes(resource(Elsewhere), DigestPayload.feed_url, {})  # rejected: wrong resource
    a7 = step(build_digest).takes(fetched.output.title, "", {})  # rejected: wrong part of an output
    a8 = step(record).takes(resource(Client), None, built.output, built.error)  # rejected: no context
    a9 = step(keep).takes(whole(NotificationPayload), session(Elsewhere), "", [])  # rejected: wrong payload
    b1 = step(build_digest).takes(fetched, DigestPayload.posted_on, {})  # rejected: a step, not its output
    b2 = step(post).takes(resource(Client), built.output, url="")  # rejected: keyword-only
    b3 = step(fetch_feed).takes(Client, DigestPayload.feed_url, {})  # rejected: a type, not a resource

    # names that aren't there
    c1 = step(build_digest).takes(fetched.output, DigestPayload.posted_no, {})  # rejected: unknown payload field
    c2 = step(build_digest).takes(fetchd.output, "", {})  # rejected: misspelt step
    c3 = step(keep).takes(whole(DigestPayload), session(Elsewhere), built.error.massage, [])  # rejected: unknown part of an error
    c4 = step(build_digest).takes(fetched.output, built.output.sise, {})  # rejected: unknown part of an output
    c5 = step(fetch_fed).takes()  # rejected: misspelt function

    # options
    d1 = step(build_digest, retries=3)  # rejected: unknown option
    d2 = step(build_digest, retry=3)  # rejected: no policy
    d3 = step(build_digest, timeout=30)  # rejected: no timedelta
    d4 = step(build_digest, on_interrupt="stop")  # rejected: unknown choice
    d5 = step(build_digest, after=["fetched"])  # rejected: names, not steps
    d6 = log("Hello", level="loud")  # rejected: unknown level
    d7 = wait(30)  # rejected: no timedelta
    d8 = wait(DigestPayload.feed_url)  # rejected: no timedelta in the payload
    d9 = step(build_digest, retry=Retry("3"))  # rejected: no number
    e1 = cron("0 9 * * *")  # rejected: no timezone
    e2 = step(5)  # rejected: no function

    # transitions
    f1 = fetched >> biult >> complete  # rejected: misspelt step
    f2 = said.on_error >> complete  # rejected: a log can't fail
    f3 = said.output  # rejected: a log leaves no output
    f4 = complete >> fetched  # rejected: nothing follows the end
    f5 = fetched >> complete >> built  # rejected: nothing follows the end
    f6 = fetched >> "built"  # rejected: no step
    f7 = fetched >> build_digest  # rejected: a function, not a step
    f8 = fetched.when("x") >> complete  # rejected: not a value of the output
    f9 = step(build_digest) >> complete  # rejected: no takes()


class NotAPayload(Workflow[int]):  # rejected: no payload
    fetched = step(fetch_feed).takes(resource(Client), "", {})


payload = DigestPayload(webhook_url="", posted_on="")
g1 = DigestPayload(webhook_url="", posted_no="")  # rejected: misspelt argument
g2 = DigestPayload(webhook_url="")  # rejected: forgotten argument
g3 = DigestPayload(webhook_url="", posted_on=5)  # rejected: wrong type
g4 = DigestPayload("", "", "")  # rejected: by position
payload.posted_on = "2026-01-05"  # rejected: frozen


async def run(mesh: Mesh, details: RunDetails) -> None:
    await mesh.start_run(PostDigest, NotificationPayload(account_id=1, invoice_id=2))  # rejected: another workflow's payload
    await mesh.start_run(PostDigest, "payload")  # rejected: no payload
    await mesh.start_run(PostDigest, payload, tigger="daily")  # rejected: misspelt option
    await mesh.start_run(DigestPayload, payload)  # rejected: no workflow
    await mesh.start_runs(PostDigest, [NotificationPayload(account_id=1, invoice_id=2)])  # rejected: another workflow's payload
    feed: Digest = details.output(PostDigest.fetched)  # rejected: another step's output
    details.output(PostDigest.announced)  # rejected: a log leaves no output
    details.output(PostDigest.fetchd)  # rejected: misspelt step
    context.rnu_id  # rejected: misspelt fact
