"""A simulator and a receiver over real HTTP, and the OAuth dance spelt out by hand."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from libs.simulator import signing
from libs.simulator.faults import AbortableProtocol
from libs.simulator.wire import Platform

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode()[:43]
IG_SCOPES = (
    "instagram_business_basic,instagram_business_manage_comments,instagram_business_manage_insights"
)
TT_SCOPES = "user.info.basic,user.info.profile,user.info.stats,video.list"
LI_SCOPES = "openid profile rw_organization_admin r_organization_social"
LI_MEMBER_SCOPES = "openid profile email r_member_postAnalytics r_member_profileAnalytics"
X_SCOPES = "tweet.read users.read offline.access follows.read like.read"
X_CLIENT = {"authorization": "Basic " + base64.b64encode(b"x-client:x-client-secret").decode()}
LI_HEADERS = {"LinkedIn-Version": "202602", "X-Restli-Protocol-Version": "2.0.0"}


class SetClock:
    """Stands still until it is moved."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def advance(self, **by: float) -> None:
        self.at += timedelta(**by)


@dataclass
class Receiver:
    """A webhook receiver that proves itself to every platform and notes what it gets."""

    url: str = ""
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    # Statuses of the next answers; 200 when used up.
    statuses: list[int] = field(default_factory=list)
    honest: bool = True

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.get("/webhooks/{platform}")
        async def handshake(platform: str, request: Request) -> Response:
            asked = request.query_params
            if platform == "instagram" and self.honest:
                right = asked["hub.verify_token"] == "ig-verify-token"
                return Response(asked["hub.challenge"], 200 if right else 403)
            if platform == "linkedin":
                code = asked["challengeCode"]
                key = "li-client-secret" if self.honest else "other"
                response = signing.linkedin_challenge(key, code)
                return JSONResponse({"challengeCode": code, "challengeResponse": response})
            key = "x-consumer-secret" if self.honest else "other"
            token = signing.x(key, asked.get("crc_token", "").encode())
            return JSONResponse({"response_token": token})

        @app.post("/{path:path}")
        async def take(path: str, request: Request) -> Response:
            self.got.append((f"/{path}", dict(request.headers), await request.body()))
            return Response(status_code=self.statuses.pop(0) if self.statuses else 200)

        return app


@dataclass
class Stand:
    """A running simulator with its receiver, and a client that does not follow redirects."""

    http: httpx.AsyncClient
    clock: SetClock
    receiver: Receiver

    async def control(self, path: str, **body: Any) -> Any:
        answer = await self.http.post(f"/_control/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def person(self, platform: Platform, handle: str = "", **more: Any) -> Any:
        """Creates a person, or gives the demo person when no handle is named."""
        if handle:
            return await self.control("people", platform=platform, handle=handle, **more)
        listed = await self.http.get("/_control/people", params={"platform": platform})
        return listed.json()[0]

    async def code(self, platform: Platform, **query: str) -> str:
        """The code of an allowed consent."""
        found = parse_qs(
            urlsplit((await self.authorize(platform, **query)).headers["location"]).query
        )
        return found["code"][0]

    async def authorize(self, platform: Platform, **query: str) -> httpx.Response:
        """One authorize request; `query` replaces parameters, an empty value removes one."""
        path, given = authorize_request(platform)
        given = {k: v for k, v in (given | query).items() if v}
        return await self.http.get(path, params=given)

    async def connect(self, platform: Platform, handle: str | None = None, **query: str) -> Any:
        """The token endpoint's first answer for an allowed consent."""
        await self.control("consent", platform=platform, mode="allow", **{"as": handle})
        code = await self.code(platform, **query)
        answer = await self.redeem(platform, code)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        return body["data"][0] if platform == "instagram" else body

    async def muted(self, platform: Platform) -> None:
        """Waits until the platform has stopped sending."""
        for _ in range(1000):
            if platform in (await self.http.get("/_control/state")).json()["muted"]:
                return
            await asyncio.sleep(0.01)
        raise TimeoutError(f"{platform} still sends")

    async def redeem(self, platform: Platform, value: str, /, **change: str) -> httpx.Response:
        """A token request; `change` replaces fields, an empty value removes one."""
        path, form, headers = token_request(platform, value)
        form = {k: v for k, v in (form | change).items() if v}
        return await self.http.post(path, data=form, headers=headers)


def redirect(platform: Platform) -> str:
    return f"http://127.0.0.1:8080/v1/oauth/{platform}/callback"


def authorize_request(platform: Platform) -> tuple[str, dict[str, str]]:
    given = {"redirect_uri": redirect(platform), "response_type": "code", "state": "s-1"}
    if platform == "instagram":
        return "/instagram-www/oauth/authorize", {
            **given, "client_id": "ig-app", "scope": IG_SCOPES}  # fmt: skip
    if platform == "tiktok":
        return "/tiktok-www/v2/auth/authorize/", {
            **given, "client_key": "ck_test", "scope": TT_SCOPES}  # fmt: skip
    if platform == "linkedin":
        return "/linkedin-www/oauth/v2/authorization", {
            **given, "client_id": "li-client", "scope": LI_SCOPES}  # fmt: skip
    return "/x-www/i/oauth2/authorize", {
        **given, "client_id": "x-client", "scope": X_SCOPES,
        "code_challenge": CHALLENGE, "code_challenge_method": "S256"}  # fmt: skip


def token_request(platform: Platform, code: str) -> tuple[str, dict[str, str], dict[str, str]]:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect(platform),
    }
    if platform == "instagram":
        client = {"client_id": "ig-app", "client_secret": "ig-app-secret"}
        return "/instagram-api/oauth/access_token", {**form, **client}, {}
    if platform == "tiktok":
        client = {"client_key": "ck_test", "client_secret": "tt-client-secret"}
        return "/tiktok-api/v2/oauth/token/", {**form, **client}, {}
    if platform == "linkedin":
        client = {"client_id": "li-client", "client_secret": "li-client-secret"}
        return "/linkedin-www/oauth/v2/accessToken", {**form, **client}, {}
    return "/x-api/2/oauth2/token", {**form, "code_verifier": VERIFIER}, X_CLIENT


def bearing(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


class Switch:
    """An ASGI application that can be exchanged under a running server."""

    def __init__(self) -> None:
        self.app: FastAPI | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app is not None
        await self.app(scope, receive, send)

    @asynccontextmanager
    async def holding(self, app: FastAPI) -> AsyncIterator[None]:
        """The application answers while the context is open."""
        async with app.router.lifespan_context(app):
            self.app = app
            yield
            self.app = None


@asynccontextmanager
async def serving(switch: Switch) -> AsyncIterator[str]:
    """A server on a free port; yields its base URL."""
    config = uvicorn.Config(
        switch, host="127.0.0.1", port=0, log_config=None, http=AbortableProtocol, lifespan="off"
    )
    server = uvicorn.Server(config)
    config.load()
    task = asyncio.create_task(server._serve())
    try:
        await until(lambda: server.started or task.done())
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


async def until(condition: Callable[[], bool]) -> None:
    """Waits for the condition; raises TimeoutError after ten seconds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - it waits for what others do
            await asyncio.sleep(0.01)
