"""How days become points, as a pure function."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

from services.analytics.charts import chart
from services.analytics.periods import Period
from services.analytics.projections.follower_changes import Named
from services.analytics.projections.metrics_snapshots import Day, Standing

MONDAY = date(2026, 3, 2)
UTC = ZoneInfo("UTC")


def _day(offset: int) -> date:
    return MONDAY + timedelta(days=offset)


def test_net_followers_are_against_the_last_known_before() -> None:
    points = chart(
        Period(MONDAY, _day(3), UTC).buckets("day"),
        {
            _day(0): Day(followers_count=110),
            _day(1): Day(reach=5),
            _day(3): Day(followers_count=95),
        },
        None,
        Standing(followers_count=100),
    )
    assert [point.followers_count for point in points] == [110, None, None, 95]
    assert [point.net_followers for point in points] == [10, None, None, -15]
    assert sum(point.net_followers or 0 for point in points) == 95 - 100


def test_the_first_known_total_has_no_net() -> None:
    [point] = chart(
        Period(MONDAY, MONDAY, UTC).buckets("day"),
        {MONDAY: Day(followers_count=7)},
        None,
        Standing(),
    )
    assert point.net_followers is None


def test_a_week_has_the_last_totals_and_the_sums_of_its_days() -> None:
    days = {
        _day(0): Day(followers_count=100, posts_count=3, reach=10, impressions=30),
        _day(2): Day(followers_count=104, reach=20),
        _day(6): Day(profile_views=0),
    }
    [week] = chart(Period(MONDAY, _day(6), UTC).buckets("week"), days, None, Standing(90))
    assert (week.followers_count, week.posts_count, week.net_followers) == (104, 3, 14)
    assert (week.reach, week.impressions, week.engagement_count) == (30, 30, None)
    assert week.profile_views == 0


def test_named_followers_are_counted_only_where_the_platform_names_them() -> None:
    buckets = Period(MONDAY, _day(1), UTC).buckets("day")
    named = chart(buckets, {}, {_day(0): Named(3, 1)}, Standing())
    assert [(point.followers_gained, point.followers_lost) for point in named] == [(3, 1), (0, 0)]
    unnamed = chart(buckets, {}, None, Standing())
    assert [(point.followers_gained, point.followers_lost) for point in unnamed] == [
        (None, None),
        (None, None),
    ]
