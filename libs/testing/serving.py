"""Applications over real HTTP, and waiting on conditions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar, overload

import uvicorn
from fastapi import FastAPI

T = TypeVar("T")


@asynccontextmanager
async def serve(app: FastAPI) -> AsyncIterator[str]:
    """Serve `app` with uvicorn on a free loopback port; yields its base URL."""
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, lifespan="on")
    )
    server.config.load()
    task = asyncio.create_task(server._serve())  # noqa: SLF001 - serve() takes over the signals
    try:
        await until(lambda: server.started or task.done())
        if task.done():
            task.result()
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


@overload
async def until(
    condition: Callable[[], Coroutine[Any, Any, T]],
    *,
    timeout: float = ...,
    every: float = ...,
    what: str = ...,
) -> T: ...
@overload
async def until(
    condition: Callable[[], T], *, timeout: float = ..., every: float = ..., what: str = ...
) -> T: ...
async def until(
    condition: Callable[[], Any],
    *,
    timeout: float = 15,
    every: float = 0.02,
    what: str = "the condition",
) -> Any:
    """Wait until `condition()` (plain or async) is truthy and give its value.

    Asks again `every` so many seconds: less often where asking is dear. Raises AssertionError when that takes longer than `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if isinstance(value, Awaitable):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {timeout} s (last: {value!r})")
        await asyncio.sleep(every)
