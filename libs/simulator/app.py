"""The web application: four platforms, the control API, and what goes on in the background."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from libs.chassis.clock import Clock, SystemClock
from libs.simulator import ambient, control, refusals
from libs.simulator.courier import Courier
from libs.simulator.faults import Fault, FaultGate, refusal_response
from libs.simulator.instagram import graph as instagram_graph
from libs.simulator.instagram import insights_api as instagram_insights
from libs.simulator.instagram import oauth as instagram_oauth
from libs.simulator.linkedin import oauth as linkedin_oauth
from libs.simulator.linkedin import rest as linkedin_rest
from libs.simulator.linkedin import subscriptions as linkedin_subscriptions
from libs.simulator.settings import SimulatorSettings
from libs.simulator.simulation import Simulation
from libs.simulator.tiktok import api as tiktok_api
from libs.simulator.tiktok import oauth as tiktok_oauth
from libs.simulator.wire import BadContentType, BadParameter, Refusal
from libs.simulator.x import api as x_api
from libs.simulator.x import oauth as x_oauth
from libs.simulator.x import webhooks as x_webhooks


def create_app(settings: SimulatorSettings, clock: Clock | None = None) -> FastAPI:
    """The simulator as one ASGI application; `app.state.simulation` is its state.

    Connections are cut without an answer only under `faults.AbortableProtocol`; under any other
    server a cut shows as a response without its body.
    """
    sim = Simulation(settings, clock or SystemClock())
    client = httpx.AsyncClient(
        timeout=settings.send_timeout,
        follow_redirects=False,
        trust_env=False,
        limits=httpx.Limits(max_connections=200, max_keepalive_connections=50),
    )
    courier = Courier(sim, client)
    faults: list[Fault] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = []
        if settings.drip > 0:
            tasks.append(asyncio.create_task(ambient.drip(sim, courier)))
        if settings.crc_interval > 0:
            tasks.append(asyncio.create_task(ambient.watch_x(sim, courier)))
        if settings.challenge_interval > 0:
            tasks.append(asyncio.create_task(ambient.watch_linkedin(sim, courier)))
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await courier.close()
        await client.aclose()
        sim.keep()

    app = FastAPI(title="Rookery simulator", lifespan=lifespan, redirect_slashes=False)
    app.state.simulation = sim
    app.state.courier = courier
    app.state.faults = faults
    for module in (
        instagram_oauth,
        instagram_graph,
        instagram_insights,
        tiktok_oauth,
        tiktok_api,
        linkedin_oauth,
        linkedin_rest,
        linkedin_subscriptions,
        x_oauth,
        x_api,
        x_webhooks,
        control,
    ):
        app.include_router(module.router)
    _speak(app)
    app.add_middleware(FaultGate, sim=sim, faults=faults)
    return app


def _speak(app: FastAPI) -> None:
    """Every refusal in the words of the platform whose path was asked."""

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.exception_handler(Refusal)
    async def refused(request: Request, error: Refusal) -> Response:
        error.headers = {**getattr(request.state, "headers", {}), **error.headers}
        return refusal_response(error)

    @app.exception_handler(BadParameter)
    async def bad_parameter(request: Request, error: BadParameter) -> Response:
        path = request.url.path
        platform = refusals.platform_of(path)
        if platform is None:
            return JSONResponse({"detail": f"{error.name} is {error.problem}"}, 422)
        return await refused(request, refusals.bad_parameter(platform, error, path))

    @app.exception_handler(BadContentType)
    async def bad_content_type(request: Request, error: BadContentType) -> Response:
        path = request.url.path
        platform = refusals.platform_of(path)
        if platform is None:
            return JSONResponse({"detail": "wrong content type"}, 415)
        return await refused(request, refusals.bad_content_type(platform, path))

    @app.exception_handler(HTTPException)
    async def not_found(request: Request, error: HTTPException) -> Response:
        platform = refusals.platform_of(request.url.path)
        if platform is None:
            return JSONResponse({"detail": error.detail}, error.status_code)
        return await refused(request, refusals.not_found(platform, error.status_code))
