"""A server that answers what a test wrote down, in that order, and notes what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest
from pydantic import SecretStr

from libs.contracts.accounts import PlatformName
from libs.platforms.base import Endpoints, Grant, Platform, PlatformError, PollPage
from libs.platforms.tests.support import platforms

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
GRANT = Grant(SecretStr("canary-access"), SecretStr("canary-refresh"), None, None, ("a",))


@dataclass(frozen=True)
class Reply:
    """`hang` sends nothing at all; `drip` sends the body a byte at a time, for ever."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False
    drip: bool = False


@dataclass
class Scripted:
    platforms: dict[PlatformName, Platform]
    replies: list[Reply] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def answers(self, *replies: Reply) -> None:
        self.replies = list(replies)


@asynccontextmanager
async def scripted_server() -> AsyncIterator[Scripted]:
    script = Scripted({})
    server = await asyncio.start_server(lambda r, w: _serve(script, r, w), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    everywhere = Endpoints(www=url, api=url, graph=url)
    script.platforms = platforms(
        dict.fromkeys(("instagram", "tiktok", "linkedin", "x"), everywhere)
    )
    async with server:
        yield script


async def _serve(
    script: Scripted, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(
            (
                int(line[15:])
                for line in head.lower().splitlines()
                if line[:15] == "content-length:"
            ),
            0,
        )
        script.requests.append(head + (await reader.readexactly(length)).decode())
        await _reply(script.replies.pop(0), reader, writer)
    except ConnectionError:
        pass
    finally:
        writer.close()


async def _reply(reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if reply.hang:
        await reader.read()  # until the client gives up
        return
    body = reply.body if isinstance(reply.body, bytes) else orjson.dumps(reply.body)
    head = [f"HTTP/1.1 {reply.status} Scripted", "connection: close"]
    head += [f"{name}: {value}" for name, value in reply.headers.items()]
    if not reply.drip:
        head.append(f"content-length: {len(body)}")
    writer.write("\r\n".join([*head, "", ""]).encode())
    while reply.drip:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)
    writer.write(body)
    await writer.drain()


async def poll(
    script: Scripted, http: httpx.AsyncClient, name: PlatformName, *replies: Reply
) -> PollPage:
    script.answers(*replies)
    return await script.platforms[name].poll(
        http,
        kind="account",
        access_token=GRANT.access_token,
        platform_user_id="urn:li:organization:1" if name == "linkedin" else "1",
        cursor=None,
        now=NOW,
    )


async def refused(
    script: Scripted, http: httpx.AsyncClient, name: PlatformName, reply: Reply
) -> PlatformError:
    with pytest.raises(PlatformError) as error:
        await poll(script, http, name, reply)
    assert "canary" not in f"{error.value} {error.value!r}"
    return error.value


async def refused_refresh(
    script: Scripted, http: httpx.AsyncClient, name: PlatformName, reply: Reply
) -> PlatformError:
    script.answers(reply)
    with pytest.raises(PlatformError) as error:
        await script.platforms[name].refresh(http, GRANT, now=NOW)
    assert "canary" not in f"{error.value} {error.value!r}"
    return error.value


def graph(code: Any, subcode: int | None = None, **more: Any) -> dict[str, Any]:
    """How the Graph API words a refusal."""
    error = {"message": "canary", "type": "OAuthException", "code": code, **more}
    return {"error": {**error, "error_subcode": subcode} if subcode else error}
