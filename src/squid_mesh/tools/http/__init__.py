"""HTTP for steps: bounded in time and size, kept from private addresses, told without secrets.

http = Http()                                   # one for the process: it keeps connections
mesh = Mesh(pool, oban=oban, workflows=[…], resources=[http])

async def fetch(http: Http, url: str) -> str:   # step(fetch).takes(resource(Http), url=…)
return (await http.invoke(Request("GET", url))).payload.text
"""

from squid_mesh.tools.http.adapter import Http, StatusError
from squid_mesh.tools.http.addresses import Reach
from squid_mesh.tools.http.request import Request
from squid_mesh.tools.http.response import Response
from squid_mesh.tools.http.transport import GuardedTransport

__all__ = ["GuardedTransport", "Http", "Reach", "Request", "Response", "StatusError"]
