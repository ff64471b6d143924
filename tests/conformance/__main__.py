"""Write `docs/conformance.md`; with `--check` only say whether it is as it should be."""

import sys

from tests.conformance import page
from tests.conformance.items import sections
from tests.conformance.shown import shown


def main() -> None:
    """Say what is wrong and fail, or write the page."""
    table, tests = sections(), shown()
    if found := page.problems(table, tests):
        sys.exit("\n".join(found))
    text = page.page(table, tests)
    if "--check" not in sys.argv:
        page.FILE.write_text(text, encoding="utf-8")
    elif not page.FILE.exists() or page.FILE.read_text(encoding="utf-8") != text:
        sys.exit("docs/conformance.md is stale: `./dev python -m tests.conformance` writes it anew")


if __name__ == "__main__":
    main()
