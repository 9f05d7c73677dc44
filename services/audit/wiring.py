"""Everything audit consists of."""

from __future__ import annotations

from pathlib import Path

from libs.chassis.clock import Clock
from libs.chassis.counting import DEAD_LETTERS, keep_counting
from libs.chassis.entry import Service
from libs.chassis.foundation import Foundation
from libs.chassis.members import members
from services.audit.api import routes
from services.audit.projections import trail
from services.audit.settings import AuditSettings

MIGRATIONS = Path(__file__).parent / "migrations"


def build() -> Service:
    """The service as the environment describes it."""
    return wire(AuditSettings())


def wire(settings: AuditSettings, *, clock: Clock | None = None) -> Service:
    """The service with these settings. Call it inside the running event loop."""
    foundation = Foundation("audit", settings, clock=clock)
    app = foundation.app()
    app.include_router(routes)
    return Service(
        name="audit",
        settings=settings,
        migrations=MIGRATIONS,
        app=app,
        runners=[foundation.runner(members("audit")), foundation.runner(trail.READER)],
        workers={"counts": keep_counting(foundation.worker, [DEAD_LETTERS], foundation.clock)},
        close=foundation.close,
    )
