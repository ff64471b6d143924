"""A PgBouncer before a database. CI installs Debian's package where it is missing."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import psycopg
import pytest

from tests.clock import every
from tests.meshes import eventually
from tests.trouble.server import folder

PORT = 6432
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"
INSTALL = "apt-get update -q && apt-get install -y -q --no-install-recommends pgbouncer"


def program() -> str:
    """The program, installed if need be and possible."""
    found = shutil.which("pgbouncer", path=PATH)
    if found is None and os.environ.get("CI") and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["sh", "-c", INSTALL], check=True, capture_output=True)  # noqa: S607
        found = shutil.which("pgbouncer", path=PATH)
    if found is None:
        pytest.skip("needs pgbouncer: apt-get install pgbouncer (CI does so by itself, as root)")
    return found


@asynccontextmanager
async def bounced(dsn: str, mode: str = "transaction", size: int = 4) -> AsyncGenerator[str]:
    """The DSN of a database through a PgBouncer with few connections to it."""
    url = urlsplit(dsn)
    server = parse_qs(url.query)["host"][0]
    with folder() as place:
        options = [
            f"[databases]\n* = host={server} port={url.port or 5432} user=postgres",
            f"[pgbouncer]\nlisten_port = {PORT}\nunix_socket_dir = {place}\nauth_type = any",
            f"pool_mode = {mode}\ndefault_pool_size = {size}\nmax_client_conn = 200",
        ]
        ini = place / "pgbouncer.ini"
        ini.write_text("\n".join(options) + "\n")
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        process = await asyncio.create_subprocess_exec(
            program(), "-q", *user, str(ini), stderr=asyncio.subprocess.DEVNULL
        )
        try:
            through = url._replace(
                netloc=f"postgres@:{PORT}", query=f"host={quote(str(place))}"
            ).geturl()
            await eventually(lambda: _answers(through))
            yield through
        finally:
            process.terminate()
            await process.wait()


async def _answers(dsn: str) -> bool:
    try:
        return bool(await every(dsn, "select 1"))
    except psycopg.OperationalError:
        return False


def environment(**more: str) -> dict[str, str]:
    """What a process of an example gets."""
    return {"PATH": PATH, "HOME": str(Path.home())} | more
