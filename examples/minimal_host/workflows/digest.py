"""A digest a day, which nobody starts but its schedule: a cron trigger."""

from squid_mesh import Payload, Window, Workflow, complete, cron, log, step


class DigestPayload(Payload):
    """Where a digest goes, and of which day it is."""

    channel: str = "ops"
    digest_date: str


def of_the_day(window: Window) -> DigestPayload:
    """The payload of a window, made when it fires."""
    return DigestPayload(digest_date=window.date().isoformat())


def build_digest(channel: str, digest_date: str) -> str:
    return f"#{channel}: all quiet on {digest_date}"


class DailyDigest(Workflow[DigestPayload]):
    """Tell operators about their day."""

    daily_digest = cron("0 9 * * *", timezone="Etc/UTC", payload=of_the_day)

    build_digest = step(build_digest, output="digest").takes(
        DigestPayload.channel, DigestPayload.digest_date
    )
    announce = log("The daily digest is out")

    flow = build_digest >> announce >> complete
