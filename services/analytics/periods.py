"""Days and weeks as people in a time zone know them, and where they begin in UTC."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

Bucketing = Literal["day", "week"]
DAY = timedelta(days=1)
DEFAULT_DAYS = 30


@dataclass(frozen=True, slots=True)
class Period:
    """Whole local days, from `first` to `last`, both included."""

    first: date
    last: date
    zone: ZoneInfo

    @property
    def days(self) -> int:
        """How many days it has, by the calendar."""
        return (self.last - self.first).days + 1

    @property
    def since(self) -> datetime:
        """Where it begins, in UTC."""
        return start_of(self.first, self.zone)

    @property
    def until(self) -> datetime:
        """Where it ends and the next one begins, in UTC."""
        return start_of(self.last + DAY, self.zone)

    def before(self) -> Period:
        """The period of as many days that ends where this one begins."""
        return Period(self.first - self.days * DAY, self.first - DAY, self.zone)

    def buckets(self, by: Bucketing) -> list[Bucket]:
        """Its days, or the ISO weeks (from Monday) that hold them; a week is always whole."""
        length = 1 if by == "day" else 7
        first = self.first if by == "day" else self.first - timedelta(days=self.first.weekday())
        starts = _every(first, self.last, length)
        return [
            Bucket(
                [start + step * DAY for step in range(length)],
                start_of(start, self.zone),
                start_of(start + length * DAY, self.zone),
            )
            for start in starts
        ]


@dataclass(frozen=True, slots=True)
class Bucket:
    """A day or a week: its local days, in order, and its bounds in UTC (`until` excluded)."""

    days: Sequence[date]
    since: datetime
    until: datetime


def _every(first: date, last: date, step: int) -> Iterator[date]:
    while first <= last:
        yield first
        first += step * DAY


def start_of(day: date, zone: ZoneInfo) -> datetime:
    """The moment in UTC when `day` begins there; the first of two where midnight comes twice,
    and the end of the gap where there is no midnight.
    """
    return datetime.combine(day, time(), zone).astimezone(UTC)


def period(since: datetime | None, until: datetime, zone: ZoneInfo) -> Period:
    """The local days that [since, until) touches; without `since` the last 30 of them."""
    last = (until - timedelta(microseconds=1)).astimezone(zone).date()
    first = since.astimezone(zone).date() if since else last - (DEFAULT_DAYS - 1) * DAY
    return Period(first, last, zone)
