"""Trying a whole transaction again when another one came first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from libs.chassis.errors import Conflict
from libs.eventlog.log import StreamConflict

T = TypeVar("T")
_TRIES = 5


async def on_conflict(attempt: Callable[[], Awaitable[T]]) -> T:
    """The result of `attempt`, which opens, commits and may repeat its own transaction.

    Raises Conflict when the stream was still moving at the fifth try, and whatever else
    `attempt` raises.
    """
    for _ in range(_TRIES):
        try:
            return await attempt()
        except StreamConflict:
            continue
    raise Conflict
