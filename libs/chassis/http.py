"""The web application of a service: one call gives it errors, limits, health and metrics."""

from __future__ import annotations

import ipaddress
import re
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.chassis import errors, strict_json
from libs.contracts.envelope import Metadata

MAX_BODY = 1_048_576
_TRACEPARENT = re.compile(r"^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")
_REQUEST_ID = re.compile(r"^[A-Za-z0-9-]{8,64}$")
Check = Callable[[], Awaitable[None]]


class StrictRequest(Request):
    """A request whose JSON body must pass `strict_json`."""

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            try:
                self._json = strict_json.loads(await self.body())
            except strict_json.BadJson as error:
                raise errors.InvalidJson(error.reason) from None
        return self._json


class StrictRoute(APIRoute):
    """A route that reads bodies with `StrictRequest`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await handler(StrictRequest(request.scope, request.receive))

        return handle


class Edge:
    """What happens to every request before routing.

    Refuses compressed bodies (a bomb inflates behind any byte count) and bodies over the limit,
    by counting, whatever Content-Length claims, so memory stays flat. (FastAPI's own
    `max_body_size` answers plain text, and before any handler of ours can run.) Binds request and trace ids to the log and keeps who called for events' metadata.

    The client's address is the one that our own proxies wrote: the `trusted_proxies`-th from the
    right of X-Forwarded-For; with none trusted, the peer of the connection.
    """

    def __init__(self, app: ASGIApp, *, max_body: int, trusted_proxies: int) -> None:
        self._app = app
        self._max_body = max_body
        self._proxies = trusted_proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        refusal = self._refusal(headers)
        if refusal is not None:
            answer = errors.problem(refusal.status, refusal.slug, refusal.title)
            await answer(scope, receive, send)
            return
        request_id = headers.get("x-request-id", "")
        if not _REQUEST_ID.match(request_id):
            request_id = secrets.token_hex(16)
        traceparent = headers.get("traceparent", "")
        if not _TRACEPARENT.match(traceparent):
            traceparent = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
        scope.setdefault("state", {})["metadata"] = Metadata(
            ip=self._client(headers, scope),
            user_agent=_printable(headers.get("user-agent")),
            correlation_id=request_id,
            traceparent=traceparent,
        )
        structlog.contextvars.bind_contextvars(
            request_id=request_id, trace_id=traceparent.split("-")[1]
        )

        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._max_body:
                raise HTTPException(413, errors.TooLarge.title)
            return message

        async def tagged(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"x-request-id", request_id.encode()))
                if seen > self._max_body:  # or the server would go on reading what has no end
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        try:
            await self._app(scope, counted, tagged)
        finally:
            structlog.contextvars.unbind_contextvars("request_id", "trace_id")

    def _refusal(self, headers: dict[str, str]) -> type[errors.Problem] | None:
        if headers.get("content-encoding", "identity") != "identity":
            return errors.UnsupportedMedia
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > self._max_body:
            return errors.TooLarge
        return None

    def _client(self, headers: dict[str, str], scope: Scope) -> str | None:
        hops = [hop.strip() for hop in headers.get("x-forwarded-for", "").split(",") if hop.strip()]
        if self._proxies and len(hops) >= self._proxies:
            return _address(hops[-self._proxies])
        peer = scope.get("client")
        return _address(peer[0]) if peer else None


def _address(text: str) -> str | None:
    """An IP address in its normal form; None for anything else, which no inet column would take."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def _printable(value: str | None) -> str | None:
    """A header as one bounded line that a text column and a log can hold."""
    if not value:
        return None
    return "".join(char for char in value if char.isprintable())[:512] or None


def create_app(
    name: str,
    *,
    ready: Check,
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]] | None = None,
    max_body: int = MAX_BODY,
    trusted_proxies: int = 1,
) -> FastAPI:
    """A FastAPI application with the house's habits; add routers to it.

    `ready` raises when the service cannot do its work now; `/readyz` then answers 503. `/healthz`
    answers as long as the process lives, `/metrics` is Prometheus text. Routers should be made
    with `route_class=StrictRoute`.
    """
    app = FastAPI(
        title=f"Rookery {name}",
        lifespan=lifespan,
        redoc_url=None,
        docs_url="/docs",
    )
    app.router.route_class = StrictRoute
    errors.install(app)
    app.add_middleware(Edge, max_body=max_body, trusted_proxies=trusted_proxies)

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> dict[str, str]:
        try:
            await ready()
        except Exception as error:  # noqa: BLE001 - whatever it is, we are not ready
            raise errors.Unavailable(f"not ready: {type(error).__name__}") from None
        return {"status": "ready"}

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return app


def metadata_of(request: Request, actor_id: UUID | None = None) -> Metadata:
    """Who and where, for the events this request causes."""
    metadata: Metadata = request.state.metadata
    return Metadata(
        actor_id=actor_id,
        ip=metadata.ip,
        user_agent=metadata.user_agent,
        correlation_id=metadata.correlation_id,
        traceparent=metadata.traceparent,
    )
