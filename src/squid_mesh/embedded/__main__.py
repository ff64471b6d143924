"""`python -m squid_mesh.embedded`: a Postgres for as long as the program runs, to try things on."""

import contextlib
import signal
import sys

from squid_mesh.embedded import EmbeddedServerError, server


def main() -> None:
    """Start a server, write its DSN to the standard output, and wait for SIGINT or SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), server() as dsn:
        sys.stdout.write(f"{dsn}\n")
        sys.stdout.flush()
        signal.pause()


if __name__ == "__main__":
    try:
        main()
    except EmbeddedServerError as error:
        sys.exit(str(error))
