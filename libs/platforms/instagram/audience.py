"""What Instagram says of an account's followers: demographics, and the hours they are online."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

from libs.contracts.event import Event
from libs.contracts.ingestion import (
    AgeRange,
    AudienceObserved,
    CityCount,
    CountryCount,
    DayActivity,
    GenderCount,
    HourActivity,
)
from libs.platforms.base import Raw, Untranslatable
from libs.platforms.shapes import count, dig, iso_time, mappings
from libs.platforms.translation import polled

_GENDERS = {"F": "female", "M": "male", "U": "unknown"}
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def observed_audience(raw: Raw) -> Event | None:
    """Counts of people. With under 100 followers Instagram says nothing, and all is None.

    Activity is relative to the busiest hour or day, which is 1; hours are as Instagram gives
    them (midnight US Pacific is its hour 0). A day is the sum of its hours; with less than a week
    of days nothing can be said of them.
    """
    facts, responses = polled(raw)
    ages = _people(responses.get("age"))
    genders = _people(responses.get("gender"))
    countries = _people(responses.get("country"))
    cities = _people(responses.get("city"))
    hours, days = _online(responses.get("online_followers"))
    return AudienceObserved(
        **facts,
        snapshot_date=facts["occurred_at"].date(),
        age_ranges=tuple(AgeRange(range=name, count=n) for name, n in ages) or None,
        genders=tuple(GenderCount(gender=_GENDERS.get(name, name), count=n) for name, n in genders)
        or None,
        countries=tuple(CountryCount(country=name, count=n) for name, n in countries) or None,
        cities=tuple(CityCount(city=name, count=n) for name, n in cities) or None,
        active_hours=tuple(HourActivity(hour=hour, activity=a) for hour, a in _relative(hours))
        or None,
        active_days=tuple(DayActivity(day=_DAYS[day], activity=a) for day, a in _relative(days))
        if len(days) == len(_DAYS)
        else None,
    )


def _people(body: Any) -> list[tuple[str, int]]:
    """Name and number of each group of one breakdown."""
    found = []
    for metric in mappings(dig(body, "data")):
        for breakdown in mappings(dig(metric, "total_value", "breakdowns")):
            for result in mappings(breakdown.get("results")):
                name = dig(result, "dimension_values", 0)
                number = count(result.get("value"))
                if isinstance(name, str) and number is not None:
                    found.append((name, number))
    return found


def _online(body: Any) -> tuple[Counter[int], Counter[int]]:
    """Followers online by hour of the day, and by day of the week (0 is Monday)."""
    hours: Counter[int] = Counter()
    days: Counter[int] = Counter()
    for metric in mappings(dig(body, "data")):
        for series in mappings(metric.get("values")):
            by_hour = series.get("value")
            if not isinstance(by_hour, dict):
                continue
            ended = iso_time(series.get("end_time"))
            for hour, value in by_hour.items():
                if not (hour.isascii() and hour.isdigit() and int(hour) <= 23):
                    raise Untranslatable("an hour of the day is none")
                number = count(value) or 0
                hours[int(hour)] += number
                if ended is not None:
                    # A day ends at midnight US Pacific, which is morning in UTC.
                    days[(ended - timedelta(hours=12)).weekday()] += number
    return hours, days


def _relative(activity: Counter[int]) -> list[tuple[int, float]]:
    """Each key's share of the largest value, in the order of the keys; nothing for all zero."""
    busiest = max(activity.values(), default=0)
    if busiest == 0:
        return []
    return [(key, round(activity[key] / busiest, 4)) for key in sorted(activity)]
