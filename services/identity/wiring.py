"""Identity, put together."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import httpx
from fastapi import FastAPI

from libs.chassis.clock import Clock
from libs.chassis.entry import Service
from libs.chassis.foundation import Foundation
from libs.chassis.tokens import TokenVerifier
from libs.eventlog.source import domain_source
from services.identity.api import ROUTERS
from services.identity.housekeeping import keep_house
from services.identity.keys import Signer
from services.identity.parts import Parts
from services.identity.passwords import Hasher
from services.identity.projections.workspaces import role_of
from services.identity.sessions import Sessions
from services.identity.settings import IdentitySettings


def build() -> Service:
    """The service as the environment says."""
    return wire(IdentitySettings())


def wire(settings: IdentitySettings, *, clock: Clock | None = None) -> Service:
    """The service of these settings. Call it inside the running event loop."""
    foundation = Foundation("identity", settings, clock=clock, role_of=role_of)
    parts = Parts(
        database=foundation.requests,
        clock=foundation.clock,
        signer=Signer(
            settings.signing_keys,
            issuer=settings.issuer,
            audience=settings.audience,
            life=settings.access_token_life,
        ),
        hasher=Hasher(settings.pepper, cost=settings.bcrypt_cost),
        sessions=Sessions(settings.pepper, life=settings.session_life),
        operator_emails=frozenset(settings.operator_emails),
    )
    app = foundation.app()
    app.state.parts = parts
    app.state.gate = replace(foundation.gate, verifier=_own_verifier(app, settings))
    for router in ROUTERS:
        app.include_router(router)

    async def close() -> None:
        parts.hasher.close()
        await foundation.close()

    return Service(
        name="identity",
        settings=settings,
        migrations=Path(__file__).parent / "migrations",
        app=app,
        relay=foundation.relay(domain_source("identity")),
        workers={"housekeeping": partial(keep_house, foundation.worker, foundation.clock)},
        close=close,
    )


def _own_verifier(app: FastAPI, settings: IdentitySettings) -> TokenVerifier:
    """Verifies like every other service, but asks its own application without a network."""
    return TokenVerifier(
        jwks_url="http://identity/.well-known/jwks.json",
        issuer=settings.issuer,
        audience=settings.audience,
        http=httpx.AsyncClient(transport=httpx.ASGITransport(app)),
    )
