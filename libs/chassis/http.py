"""The web application of a service: one call gives it errors, limits, health and metrics."""

from __future__ import annotations

import functools
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
from fastapi.telemetry import TelemetryConfig
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.chassis import errors, strict_json
from libs.chassis.exchange import Exchange
from libs.contracts.envelope import Metadata

MAX_BODY = 1_048_576
_NO_BODY = (b"content-length", b"0")
_REQUEST_ID = re.compile(r"^[A-Za-z0-9-]{8,64}$")
# Of the headers only these are looked at; to decode all of them showed in the cost of a webhook.
_READ = frozenset(
    (
        b"content-encoding",
        b"content-length",
        b"traceparent",
        b"user-agent",
        b"x-forwarded-for",
        b"x-request-id",
    )
)
# FastAPI would trace by itself, with the path of each request, which may hold a person's words, and
# would report numbers a second time. `Exchange` has the route instead.
_NO_TELEMETRY: TelemetryConfig = {
    "auto_configure": False,
    "tracing": False,
    "metrics": False,
    "logs": False,
}
Check = Callable[[], Awaitable[None]]
Take = Callable[[Scope, bytes], Awaitable[None]]


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


class Direct(Route):
    """A POST whose body goes to `take` and that is answered with an empty 200 when that returns.

    For the few addresses that are called thousands of times a second: FastAPI's way to an endpoint
    costs more than all that a webhook's own work does. Put it first among the routes of an
    application made by `create_app`; what `take` raises becomes a problem document as everywhere.
    `take` gets the scope, which holds `path_params` and `state["metadata"]`. It is not in the
    OpenAPI document: declare the same address on a router, too.
    """

    def __init__(self, path: str, take: Take) -> None:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            scope["route"] = self
            await take(scope, await _whole_body(receive))
            await send({"type": "http.response.start", "status": 200, "headers": [_NO_BODY]})
            await send({"type": "http.response.body", "body": b""})

        super().__init__(path, take, methods=["POST"], include_in_schema=False)
        self.app = answer


async def _whole_body(receive: Receive) -> bytes:
    """What is left of the request's body; raises ClientDisconnect."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part: bytes = message.get("body", b"")
        body += part
        if not message.get("more_body", False):
            return body


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
        headers = {name: value for name, value in scope["headers"] if name in _READ}
        exchange = Exchange(scope, headers.get(b"traceparent", b"").decode("latin-1"))
        refusal = self._refusal(headers)
        if refusal is not None:
            answer = errors.problem(refusal.status, refusal.slug, refusal.title)
            try:
                await answer(scope, receive, send)
            finally:
                exchange.end(scope, refusal.status)
            return
        request_id = headers.get(b"x-request-id", b"").decode("latin-1")
        if not _REQUEST_ID.match(request_id):
            request_id = secrets.token_hex(16)
        scope.setdefault("state", {})["metadata"] = Metadata(
            ip=self._client(headers, scope),
            user_agent=_printable(headers.get(b"user-agent", b"").decode("latin-1")),
            correlation_id=request_id,
            traceparent=exchange.traceparent,
        )
        structlog.contextvars.bind_contextvars(request_id=request_id, trace_id=exchange.trace_id)

        seen = status = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._max_body:
                raise HTTPException(413, errors.TooLarge.title)
            return message

        async def tagged(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append((b"x-request-id", request_id.encode()))
                if seen > self._max_body:  # or the server would go on reading what has no end
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        try:
            await self._app(scope, counted, tagged)
        except ClientDisconnect:
            raise
        except Exception:
            status = status or 500  # answered outside of us
            raise
        finally:
            exchange.end(scope, status)
            structlog.contextvars.unbind_contextvars("request_id", "trace_id")

    def _refusal(self, headers: dict[bytes, bytes]) -> type[errors.Problem] | None:
        if headers.get(b"content-encoding", b"identity") != b"identity":
            return errors.UnsupportedMedia
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._max_body:
            return errors.TooLarge
        return None

    def _client(self, headers: dict[bytes, bytes], scope: Scope) -> str | None:
        path = headers.get(b"x-forwarded-for", b"").decode("latin-1")
        hops = [hop.strip() for hop in path.split(",") if hop.strip()]
        if self._proxies and len(hops) >= self._proxies:
            return _address(hops[-self._proxies])
        peer = scope.get("client")
        return _address(peer[0]) if peer else None


@functools.lru_cache(maxsize=1024)
def _address(text: str) -> str | None:
    """An IP address in its normal form; None for anything else, which no inet column would take."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def _printable(value: str) -> str | None:
    """A header as one bounded line that a text column and a log can hold."""
    if value.isprintable():
        return value[:512] or None
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
        telemetry=_NO_TELEMETRY,
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
