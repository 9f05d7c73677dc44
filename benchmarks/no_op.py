"""The limit of a webhook: the same server, middleware and kind of route, which only read the body.

Beside it the same as FastAPI serves it, for comparison: what any endpoint costs that is not Direct.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request, Response
from pydantic_settings import SettingsConfigDict
from starlette.types import Scope

from libs.chassis.entry import Service, main
from libs.chassis.http import Direct, StrictRoute, create_app
from libs.chassis.settings import ServiceSettings

routes = APIRouter(prefix="/fastapi", route_class=StrictRoute)


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="NO_OP_", frozen=True)


async def take(_: Scope, __: bytes) -> None:
    """Whatever it is."""


@routes.post("/{platform}")
async def receive(platform: str, request: Request) -> Response:
    """The same."""
    await request.body()
    return Response()


async def _ready() -> None:
    return


def build() -> Service:
    """A service of nothing but that route."""
    settings = Settings()
    app = create_app("no-op", ready=_ready, trusted_proxies=settings.trusted_proxies)
    app.router.routes.insert(0, Direct("/webhooks/{platform}", take))
    app.include_router(routes)
    return Service(name="no-op", settings=settings, migrations=Path(), app=app)


if __name__ == "__main__":
    main("no-op", build)
