"""A Starlette application with a mesh in its lifespan. FastAPI takes the same lifespan.

    uvicorn examples.web.application:app
    gunicorn examples.web.application:app --workers 2 --worker-class uvicorn_worker.UvicornWorker

Each process of the server is a worker of the queue. A server that ends lets the lifespan end, and
so the mesh: it begins no more steps, waits `grace` for those under way, and hands the runs over.
Give the server longer than that to end its processes (gunicorn's `--graceful-timeout`).
"""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from squid_mesh import Mesh, RunNotFound

from .orders import FulfilOrder, OrderPayload


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncGenerator[dict[str, Mesh]]:
    mesh = Mesh.connect(
        os.environ["DATABASE_URL"],
        workflows=[FulfilOrder],
        queues={"squid_mesh": 20},
        grace=timedelta(seconds=10),
    )
    async with mesh:
        yield {"mesh": mesh}


async def take_order(request: Request) -> JSONResponse:
    mesh: Mesh = request.state.mesh
    order = OrderPayload.model_validate(await request.json())
    run = await mesh.start_run(FulfilOrder, order, key=f"order {order.number}")
    return JSONResponse({"run": str(run.id), "pid": os.getpid()}, status_code=202)


async def show_run(request: Request) -> JSONResponse:
    mesh: Mesh = request.state.mesh
    try:
        run = await mesh.inspect_run(request.path_params["run_id"])
    except RunNotFound:
        return JSONResponse({"error": "there is no such run"}, status_code=404)
    return JSONResponse({"run": str(run.id), "status": run.status})


app = Starlette(
    routes=[
        Route("/orders", take_order, methods=["POST"]),
        Route("/runs/{run_id:uuid}", show_run),
    ],
    lifespan=lifespan,
)
