"""The program `squid-mesh`: installs, migrates, checks, looks, and runs workers.

Every error is a sentence and a hint. Needs the extra `cli`.
"""

import sys


def main() -> None:
    """Run the command that the command line asks for, and exit."""
    try:
        from squid_mesh.cli.commands import program  # noqa: PLC0415  # needs the extra
    except ModuleNotFoundError as error:
        if error.name not in {"click", "rich"}:
            raise
        sys.exit(f'Error: {error.name} is missing.\nHint: pip install "squid-mesh[cli]"')
    program(prog_name="squid-mesh")


__all__ = ["main"]
