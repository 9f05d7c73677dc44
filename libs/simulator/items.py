"""What a platform has to say, and the request that says it."""

import json
from dataclasses import dataclass, field
from typing import Literal

from libs.simulator.wire import Json, Platform

Signature = Literal["good", "wrong", "missing"]


@dataclass(frozen=True)
class Item:
    """One thing that happened to one account."""

    platform: Platform
    handle: str
    account_id: str
    event: str
    # The parts that tell it from every other, joined with "|" (sections 1.1, 2.2, 3.2, 4.1).
    dedupe: str
    content: Json
    # What it changes in the world once it is sent: a key of `World.happen` and an amount.
    effect: tuple[str, int] | None = None


@dataclass(frozen=True)
class Delivery:
    """One webhook request, signed and ready to be sent as often as wanted."""

    platform: Platform
    # Under the webhook target; a callback registered with the platform takes its place.
    path: str
    body: bytes
    headers: dict[str, str]
    items: tuple[Item, ...] = field(default=())


def compact(value: Json, *, ascii_only: bool = False) -> bytes:
    """JSON without spaces, as UTF-8, or with everything beyond ASCII escaped."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=ascii_only).encode()
