"""The outside world on loopback, for the demo and the tests: a feed server and a webhook."""

from examples.loopback import Answer, Request, serving

from .feeds import ENTRIES, serve_feeds
from .webhook import Post, Webhook, field_errors

__all__ = [
    "ENTRIES",
    "Answer",
    "Post",
    "Request",
    "Webhook",
    "field_errors",
    "serve_feeds",
    "serving",
]
