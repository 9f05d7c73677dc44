"""Days and weeks of a time zone, as pure functions."""

import itertools
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from services.analytics.periods import Period, period, start_of

BERLIN = ZoneInfo("Europe/Berlin")
zones = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "America/Havana"]
).map(ZoneInfo)
dates = st.dates(date(2010, 1, 1), date(2030, 12, 31))


def test_the_day_of_the_spring_change_has_23_hours() -> None:
    [day] = Period(date(2026, 3, 29), date(2026, 3, 29), BERLIN).buckets("day")
    assert day.since == datetime(2026, 3, 28, 23, tzinfo=UTC)
    assert day.until - day.since == timedelta(hours=23)


def test_the_week_of_the_autumn_change_has_169_hours() -> None:
    [week] = Period(date(2026, 10, 21), date(2026, 10, 21), BERLIN).buckets("week")
    assert week.days[0] == date(2026, 10, 19)
    assert week.until - week.since == timedelta(hours=169)


def test_a_day_without_midnight_begins_where_the_gap_ends() -> None:
    # Clocks in São Paulo went from 0:00 to 1:00.
    assert start_of(date(2018, 11, 4), ZoneInfo("America/Sao_Paulo")) == datetime(
        2018, 11, 4, 3, tzinfo=UTC
    )


def test_a_day_with_two_midnights_begins_at_the_first() -> None:
    # Clocks in Havana went from 1:00 back to 0:00.
    assert start_of(date(2025, 11, 2), ZoneInfo("America/Havana")) == datetime(
        2025, 11, 2, 4, tzinfo=UTC
    )


def test_a_day_that_a_zone_skipped_is_empty() -> None:
    [day] = Period(date(2011, 12, 30), date(2011, 12, 30), ZoneInfo("Pacific/Apia")).buckets("day")
    assert day.since == day.until


def test_weeks_begin_on_monday_across_the_year() -> None:
    weeks = Period(date(2026, 12, 31), date(2027, 1, 4), BERLIN).buckets("week")
    assert [week.days[0] for week in weeks] == [date(2026, 12, 28), date(2027, 1, 4)]


def test_a_span_touches_the_days_of_the_zone() -> None:
    late = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)  # already 2 March in Berlin
    assert period(late, late + timedelta(days=1), BERLIN) == Period(
        date(2026, 3, 2), date(2026, 3, 3), BERLIN
    )


def test_until_is_not_included() -> None:
    midnight = datetime(2026, 3, 3, tzinfo=UTC)
    assert period(midnight - timedelta(days=1), midnight, ZoneInfo("UTC")).days == 1


def test_by_default_it_is_thirty_days() -> None:
    assert period(None, datetime(2026, 3, 2, 12, tzinfo=UTC), BERLIN).days == 30


@given(zones, dates, st.integers(1, 60))
def test_buckets_cover_the_period_without_hole_or_overlap(
    zone: ZoneInfo, first: date, days: int
) -> None:
    whole = Period(first, first + timedelta(days=days - 1), zone)
    for by in ("day", "week"):
        buckets = whole.buckets(by)
        assert buckets[0].since <= whole.since
        assert buckets[-1].until >= whole.until
        for left, right in itertools.pairwise(buckets):
            assert left.until == right.since
    assert whole.before().until == whole.since
    assert whole.before().days == whole.days
