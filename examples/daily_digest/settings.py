"""What the environment says: where the feed is, and where its digest goes.

Both are optional, so that importing the workflow never depends on the machine it is imported on.
The webhook's URL is a secret: whoever holds it can post.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

FEED_URL = os.environ.get("FEED_URL", "")
DISCORD_WEBHOOK_URL = os.environ.get("DISCORD_WEBHOOK_URL", "")


@contextmanager
def pointing_to(feed_url: str, discord_webhook_url: str) -> Iterator[None]:
    """For the length of the block, as if the environment said so."""
    global FEED_URL, DISCORD_WEBHOOK_URL
    before = FEED_URL, DISCORD_WEBHOOK_URL
    FEED_URL, DISCORD_WEBHOOK_URL = feed_url, discord_webhook_url
    try:
        yield
    finally:
        FEED_URL, DISCORD_WEBHOOK_URL = before
