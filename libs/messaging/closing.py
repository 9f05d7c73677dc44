"""Closing the library's clients."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def close(closing: Coroutine[Any, Any, None], seconds: float) -> None:
    """Let a client close itself, for `seconds` at most, whatever comes of it.

    aiokafka's stop() waits for the broker, for ever where that is gone. It also raises the
    CancelledError of tasks of its own, and a caller that let it through would seem to be cancelled
    itself and end without a word. Raises CancelledError only when the caller is cancelled.
    """
    task = asyncio.ensure_future(closing)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        task.cancel()
