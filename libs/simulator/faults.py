"""Faults on demand, put in front of every platform endpoint, and the record of requests."""

import asyncio
import socket
import struct
from dataclasses import dataclass
from typing import Any, Literal, get_args

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from libs.simulator.refusals import broken, throttled
from libs.simulator.simulation import Simulation
from libs.simulator.wire import Platform, Refusal

# lost: the request takes effect and the answer never arrives.
Kind = Literal["timeout", "500", "429", "reset", "slow", "garbage", "lost"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_ABORT = "simulator.abort"


@dataclass
class Fault:
    """What goes wrong with the next `times` requests under a path; `delay_s` where it waits."""

    platform: Platform
    kind: Kind
    path_prefix: str = ""
    times: int = 1
    delay_s: float = 0.0

    def matches(self, path: str) -> bool:
        """Prefix of the whole path, or of what stands behind the host's own prefix."""
        host, _, rest = path.lstrip("/").partition("/")
        if not host.startswith(f"{self.platform}-"):
            return False
        return path.startswith(self.path_prefix) or f"/{rest}".startswith(self.path_prefix)


class FaultGate:
    """ASGI middleware: applies the first fault that matches, and notes every request."""

    def __init__(self, app: ASGIApp, sim: Simulation, faults: list[Fault]) -> None:
        self._app = app
        self._sim = sim
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/_control"):
            await self._app(scope, receive, send)
            return
        fault = self._take(scope["path"])
        seen = {"status": 0}

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen["status"] = message["status"]
            await send(message)

        try:
            if fault is None:
                await self._app(scope, receive, noting)
            else:
                await self._spoil(fault, scope, receive, noting)
        finally:
            self._sim.journal.received(
                self._sim.clock.now(),
                method=scope["method"],
                path=scope["path"],
                query=scope["query_string"].decode("latin-1"),
                status=seen["status"],
                fault=None if fault is None else fault.kind,
            )

    def _take(self, path: str) -> Fault | None:
        for fault in self._faults:
            if fault.matches(path):
                fault.times -= 1
                if fault.times <= 0:
                    self._faults.remove(fault)
                return fault
        return None

    async def _spoil(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        if fault.kind == "timeout":
            await asyncio.sleep(fault.delay_s or 60.0)
            await _abort(scope, send)
        elif fault.kind == "reset":
            await asyncio.sleep(fault.delay_s)
            await _abort(scope, send)
        elif fault.kind == "lost":
            await self._app(scope, receive, _nowhere)
            await _abort(scope, send)
        elif fault.kind == "slow":
            await self._app(scope, receive, _dripping(send, fault.delay_s or 5.0))
        elif fault.kind == "garbage":
            text = '<html><body>Sorry, something went wrong.</body></html>{"data":[{'
            await Response(text, media_type="application/json")(scope, receive, send)
        else:
            refused = broken if fault.kind == "500" else throttled
            await refusal_response(refused(fault.platform, self._sim))(scope, receive, send)


def refusal_response(refused: Refusal) -> Response:
    return JSONResponse(refused.body, refused.status, headers=refused.headers)


class AbortableProtocol(HttpToolsProtocol):
    """uvicorn's own protocol, with a way for the application to cut the connection."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope.setdefault("extensions", {})[_ABORT] = {"abort": self._cut}

    def _cut(self) -> None:
        """Resets the connection: without lingering, closing sends RST instead of FIN."""
        connection = self.transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


async def _abort(scope: Scope, send: Send) -> None:
    extension: dict[str, Any] | None = scope.get("extensions", {}).get(_ABORT)
    if extension is None:
        # Under uvicorn's own protocol a promised and missing body closes the connection.
        headers = [(b"content-length", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        return
    extension["abort"]()
    # Let the loop tell uvicorn that the connection is gone before the application returns.
    await asyncio.sleep(0.01)


async def _nowhere(message: Message) -> None:
    """Swallows an answer."""


def _dripping(send: Send, seconds: float) -> Send:
    """A send that stretches the body over `seconds`, in ten pieces."""

    async def drip(message: Message) -> None:
        body = message.get("body", b"")
        if message["type"] != "http.response.body" or not body:
            await send(message)
            return
        size = max(1, len(body) // 10)
        pieces = [body[start : start + size] for start in range(0, len(body), size)]
        for number, piece in enumerate(pieces, start=1):
            await asyncio.sleep(seconds / len(pieces))
            more = message.get("more_body", False) or number < len(pieces)
            await send({"type": "http.response.body", "body": piece, "more_body": more})

    return drip
