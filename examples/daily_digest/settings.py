"""What the environment says: where the feed is, and where its digest goes.

Both are optional, so that importing the workflow never depends on the machine it is imported on.
The webhook's URL is a secret: whoever holds it can post.
"""

import os

FEED_URL = os.environ.get("FEED_URL", "")
DISCORD_WEBHOOK_URL = os.environ.get("DISCORD_WEBHOOK_URL", "")
