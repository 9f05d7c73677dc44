"""Everything ingestion consists of."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from pydantic import SecretStr

from libs.chassis.clock import Clock
from libs.chassis.counting import keep_counting
from libs.chassis.database import connect
from libs.chassis.entry import Service
from libs.chassis.foundation import Foundation
from libs.chassis.members import members
from libs.chassis.partitions import keep_partitions
from libs.contracts.accounts import PlatformName
from libs.platforms.base import Credentials, Platform
from libs.platforms.registry import build as build_platforms
from libs.platforms.registry import simulated_endpoints
from services.ingestion.api import direct_webhooks, event_routes, internal_routes, webhook_routes
from services.ingestion.backfill import Backfill
from services.ingestion.group_commit import Appender
from services.ingestion.leases import Leases
from services.ingestion.poller import Poller
from services.ingestion.projections.routes import routes
from services.ingestion.quarantine import keep_releasing
from services.ingestion.settings import IngestionSettings
from services.ingestion.tallies import TALLIES
from services.ingestion.translate import source
from services.ingestion.webhooks import Webhooks

MIGRATIONS = Path(__file__).parent / "migrations"


def platforms_of(settings: IngestionSettings) -> dict[PlatformName, Platform]:
    """The platforms as ingestion needs them: it verifies and polls, and never asks for consent."""

    def credentials(
        secrets: tuple[SecretStr, ...], verify_token: SecretStr | None = None
    ) -> Credentials:
        return Credentials("", SecretStr(""), secrets, verify_token)

    return build_platforms(
        {
            "instagram": credentials(
                settings.instagram_webhook_secrets, settings.instagram_verify_token
            ),
            "tiktok": credentials(settings.tiktok_webhook_secrets),
            "linkedin": credentials(settings.linkedin_webhook_secrets),
            "x": credentials(settings.x_webhook_secrets),
        },
        simulated_endpoints(settings.simulator_url) if settings.simulator_url else None,
        tiktok_tolerance=settings.tiktok_tolerance,
    )


def build() -> Service:
    """The service as the environment describes it."""
    return wire(IngestionSettings())


def wire(settings: IngestionSettings, *, clock: Clock | None = None) -> Service:
    """The service with these settings. Call it inside the running event loop."""
    foundation = Foundation("ingestion", settings, clock=clock)
    clock = foundation.clock
    platforms = platforms_of(settings)
    appender = Appender(
        foundation.worker,
        foundation.notifier,
        partial(connect, settings.worker_database_url.get_secret_value(), name="ingestion append"),
    )
    app = foundation.app()
    app.state.webhooks = Webhooks(
        foundation,
        platforms,
        appender,
        instagram_secrets=settings.instagram_webhook_secrets,
        public_url=settings.public_url,
    )
    app.state.backfill = Backfill(foundation.worker, platforms, foundation.notifier, clock)
    app.router.routes.insert(0, direct_webhooks)
    for router in (webhook_routes, event_routes, internal_routes):
        app.include_router(router)

    poller = Poller(
        foundation.worker,
        platforms=platforms,
        leases=Leases(foundation.http, foundation.service_tokens, settings.accounts_url),
        http=foundation.http,
        notifier=foundation.notifier,
        clock=clock,
        at_once=settings.polls_at_once,
    )

    async def close() -> None:
        await appender.close()
        await foundation.close()

    return Service(
        name="ingestion",
        settings=settings,
        migrations=MIGRATIONS,
        app=app,
        relay=foundation.relay(source(platforms)),
        runners=[foundation.runner(members("ingestion")), foundation.runner(routes())],
        workers={
            "partitions": keep_partitions(foundation.worker, "events", clock),
            "releases": keep_releasing(foundation.worker, foundation.notifier, clock),
            "polls": poller.run,
            "counts": keep_counting(foundation.worker, TALLIES, clock),
        },
        close=close,
    )
