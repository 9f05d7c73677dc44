"""What the routes of accounts need, made once by `wiring`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, Response

from services.accounts.connections import Connections
from services.accounts.leases import Leases


@dataclass(frozen=True)
class Parts:
    """Stands at `app.state.parts`."""

    connections: Connections
    leases: Leases


def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


def no_store(response: Response) -> None:
    """A dependency of routes whose answer no cache may keep."""
    response.headers["Cache-Control"] = "no-store"


AccountsParts = Annotated[Parts, Depends(_parts)]
