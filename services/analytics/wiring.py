"""Everything analytics consists of."""

from __future__ import annotations

from pathlib import Path

from libs.chassis.clock import Clock
from libs.chassis.counting import DEAD_LETTERS, keep_counting
from libs.chassis.entry import Service
from libs.chassis.foundation import Foundation
from libs.chassis.members import members
from libs.chassis.partitions import keep_partitions
from services.analytics.api import routes
from services.analytics.projections import (
    accounts,
    audience_insights,
    follower_changes,
    metrics_snapshots,
    top_content,
)
from services.analytics.settings import AnalyticsSettings

MIGRATIONS = Path(__file__).parent / "migrations"
READERS = (
    members("analytics"),
    accounts.READER,
    metrics_snapshots.READER,
    follower_changes.READER,
    top_content.READER,
    audience_insights.READER,
)


def build() -> Service:
    """The service as the environment describes it."""
    return wire(AnalyticsSettings())


def wire(settings: AnalyticsSettings, *, clock: Clock | None = None) -> Service:
    """The service with these settings. Call it inside the running event loop."""
    foundation = Foundation("analytics", settings, clock=clock)
    app = foundation.app()
    app.state.clock = foundation.clock
    app.include_router(routes)
    return Service(
        name="analytics",
        settings=settings,
        migrations=MIGRATIONS,
        app=app,
        runners=[foundation.runner(reader) for reader in READERS],
        workers={
            "partitions": keep_partitions(
                foundation.worker, metrics_snapshots.TABLE, foundation.clock
            ),
            "counts": keep_counting(foundation.worker, [DEAD_LETTERS], foundation.clock),
        },
        close=foundation.close,
    )
