"""A clock that stands still until told otherwise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class FakeClock:
    """Implements `libs.chassis.clock.Clock`."""

    def __init__(self, start: datetime = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)) -> None:
        self._now = start

    def now(self) -> datetime:
        """The time it was set to, aware, in UTC."""
        return self._now

    def advance(self, by: timedelta) -> None:
        """Move on (or back)."""
        self._now += by
