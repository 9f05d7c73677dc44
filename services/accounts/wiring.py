"""Accounts, put together."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

from libs.chassis.clock import Clock
from libs.chassis.counting import keep_counting
from libs.chassis.database import Database
from libs.chassis.entry import Service
from libs.chassis.foundation import Foundation
from libs.chassis.members import members
from libs.eventlog.source import domain_source
from libs.platforms import registry
from libs.vault import Vault
from services.accounts.api import ROUTERS
from services.accounts.connections import Connections
from services.accounts.housekeeping import keep_house
from services.accounts.leases import Leases
from services.accounts.parts import Parts
from services.accounts.reactors import revocations
from services.accounts.refresher import Refresher
from services.accounts.settings import AccountsSettings
from services.accounts.states import States
from services.accounts.tallies import TALLIES
from services.accounts.tokens import Tokens


def build() -> Service:
    """The service as the environment says."""
    return wire(AccountsSettings())


def wire(settings: AccountsSettings, *, clock: Clock | None = None) -> Service:
    """The service of these settings. Call it inside the running event loop."""
    foundation = Foundation("accounts", settings, clock=clock)
    across_tenants = Database(foundation.worker, foundation.notifier)
    vault = Vault(settings.fernet_keys)
    tokens = Tokens(vault)
    credentials = settings.credentials
    platforms = registry.build(
        credentials,
        registry.simulated_endpoints(settings.simulator_url, settings.simulator_public_url)
        if settings.simulator_url
        else None,
    )
    refresher = Refresher(
        database=across_tenants,
        platforms=platforms,
        tokens=tokens,
        http=foundation.http,
        clock=foundation.clock,
        jitter=random.random,
    )
    app = foundation.app()
    app.state.parts = Parts(
        connections=Connections(
            database=foundation.requests,
            platforms=platforms,
            configured=frozenset(name for name in platforms if credentials[name].client_id),
            tokens=tokens,
            states=States(vault),
            http=foundation.http,
            clock=foundation.clock,
            jitter=random.random,
            public_url=settings.public_url,
            origins=settings.origins,
        ),
        leases=Leases(
            database=across_tenants, tokens=tokens, refresher=refresher, clock=foundation.clock
        ),
    )
    for router in ROUTERS:
        app.include_router(router)
    return Service(
        name="accounts",
        settings=settings,
        migrations=Path(__file__).parent / "migrations",
        app=app,
        relay=foundation.relay(domain_source("accounts")),
        runners=[
            foundation.runner(members("accounts")),
            foundation.runner(revocations(tokens, foundation.clock)),
        ],
        workers={
            "refresher": refresher.run,
            "counts": keep_counting(foundation.worker, TALLIES, foundation.clock),
            "housekeeping": partial(keep_house, foundation.worker, foundation.clock),
        },
        close=foundation.close,
    )
