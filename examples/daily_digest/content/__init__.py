"""The steps of the digest: plain functions, which know nothing of the workflow they serve."""

from .deliveries import FailedDeliveries, FailedDelivery, record_failed_delivery
from .digest import Digest, Embed, build_digest
from .discord import post_to_discord
from .feeds import Entry, Feed, fetch_feed

__all__ = [
    "Digest",
    "Embed",
    "Entry",
    "FailedDeliveries",
    "FailedDelivery",
    "Feed",
    "build_digest",
    "fetch_feed",
    "post_to_discord",
    "record_failed_delivery",
]
