"""A feed server: the files of `feeds/`, and what goes wrong with feeds in the world."""

from contextlib import AbstractContextManager
from pathlib import Path

from examples.loopback import Answer, serving

ENTRIES = 500  # in /many.rss

_FILES = Path(__file__).parent.parent / "feeds"
_TYPES = {
    ".atom": "application/atom+xml",
    ".html": "text/html; charset=utf-8",
    ".rss": "application/rss+xml",
}


def _feed(body: bytes, content_type: str = "application/rss+xml") -> Answer:
    return Answer(body=body, headers={"Content-Type": content_type})


def _many() -> bytes:
    items = "".join(
        f"<item><title>Reading {number} of the tide gauge</title>"
        f"<link>https://tides.example.org/readings/{number}</link>"
        f'<guid isPermaLink="false">tides-{number}</guid></item>'
        for number in range(1, ENTRIES + 1)
    )
    return f'<rss version="2.0"><channel><title>Tides</title>{items}</channel></rss>'.encode()


_WRITTEN = {
    f"/{file.name}": _feed(file.read_bytes(), _TYPES[file.suffix])
    for file in _FILES.iterdir()
    if file.suffix in _TYPES
}
_ANSWERS: dict[str, Answer | None] = {
    **_WRITTEN,
    "/many.rss": _feed(_many()),
    "/nothing.rss": _feed(b""),
    "/huge.rss": _feed(b"<rss>" + b" " * 6 * 2**20),
    "/mislabelled.rss": _feed((_FILES / "latin1.rss").read_bytes(), "text/xml; charset=utf-8"),
    "/moved.rss": Answer(301, headers={"Location": "/news.rss"}),
    "/around.rss": Answer(302, headers={"Location": "/around.rss"}),
    "/busy.rss": Answer(429, headers={"Retry-After": "1"}),
    "/broken.rss": Answer(500),
    "/slow.rss": None,
}


def serve_feeds() -> AbstractContextManager[str]:
    """Serve every feed for the length of the block; yields the base URL."""
    return serving(lambda request: _ANSWERS.get(request.path, Answer(404)))
