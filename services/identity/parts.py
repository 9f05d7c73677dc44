"""What the routes of identity need, made once by `wiring`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from libs.chassis.clock import Clock
from libs.chassis.database import Database
from services.identity.keys import Signer
from services.identity.passwords import Hasher
from services.identity.sessions import Sessions


@dataclass(frozen=True)
class Parts:
    """Stands at `app.state.parts`."""

    database: Database
    clock: Clock
    signer: Signer
    hasher: Hasher
    sessions: Sessions
    operator_emails: frozenset[str]


def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


Identity = Annotated[Parts, Depends(_parts)]
