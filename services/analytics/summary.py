"""All accounts of a workspace over a period, against the period before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.analytics.charts import total
from services.analytics.periods import DAY, Period, start_of
from services.analytics.projections import metrics_snapshots
from services.analytics.projections.accounts import Account, all_of_workspace
from services.analytics.projections.metrics_snapshots import WINDOWS, Day, Standing


class Values(NamedTuple):
    """A number in this period and in the one before; None is unknown."""

    value: int | None = None
    previous: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A number, the same in the period before, and what lies between.

    `change_percent` is of the absolute previous value; None where that is 0 or unknown.
    """

    value: int | None
    previous: int | None
    change: int | None
    change_percent: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """Totals at the end of the period, the followers won or lost in it, sums over its days."""

    followers_count: Change
    posts_count: Change
    net_followers: Change
    reach: Change
    impressions: Change
    engagement_count: Change
    profile_views: Change


FIGURES = tuple(field.name for field in fields(Figures))


@dataclass(frozen=True, slots=True)
class Summary:
    """`totals` over all accounts, and each account's own."""

    period: Period
    totals: Figures
    accounts: Sequence[tuple[Account, Figures]]


def compare(values: Sequence[Values]) -> Change:
    """The change over one account or over several. Pure.

    `value` and `previous` add up all that is known of each; the change compares like with like,
    only what is known in both: an account connected last week is no growth.
    """
    both = [
        (item.value, item.previous)
        for item in values
        if item.value is not None and item.previous is not None
    ]
    change = sum(value - previous for value, previous in both) if both else None
    base = abs(sum(previous for _, previous in both))
    return Change(
        value=total([item.value for item in values]),
        previous=total([item.previous for item in values]),
        change=change,
        change_percent=round(change / base * 100, 2) if change is not None and base else None,
    )


def values_of(
    standings: Sequence[Standing], now: Sequence[Day], before: Sequence[Day]
) -> dict[str, Values]:
    """An account's figures. Pure.

    `standings` are the totals known at the start of the period before, at the start and at the end
    of this one; `now` and `before` the days of the two periods.
    """
    first, start, end = standings
    net = Values(
        _difference(end.followers_count, start.followers_count),
        _difference(start.followers_count, first.followers_count),
    )
    return {
        "followers_count": Values(end.followers_count, start.followers_count),
        "posts_count": Values(end.posts_count, start.posts_count),
        "net_followers": net,
        **{
            name: Values(
                total([getattr(day, name) for day in now]),
                total([getattr(day, name) for day in before]),
            )
            for name in WINDOWS
        },
    }


def _difference(later: int | None, earlier: int | None) -> int | None:
    return None if later is None or earlier is None else later - earlier


def figures(accounts: Sequence[dict[str, Values]]) -> Figures:
    """The comparison over some accounts. Pure."""
    return Figures(**{name: compare([account[name] for account in accounts]) for name in FIGURES})


async def read(connection: AsyncConnection, period: Period) -> Summary:
    """The summary of the transaction's workspace, disconnected accounts included."""
    accounts = await all_of_workspace(connection)
    ids = [account.id for account in accounts]
    previous = period.before()
    starts = [start_of(previous.first + step * DAY, period.zone) for step in range(2 * period.days)]
    days = await metrics_snapshots.per_day(connection, ids, starts, period.until)
    standings = await metrics_snapshots.standing(
        connection, ids, [previous.since, period.since, period.until]
    )

    def values(account: UUID) -> dict[str, Values]:
        known = days[account].items()
        return values_of(
            standings[account],
            now=[day for index, day in known if index >= period.days],
            before=[day for index, day in known if index < period.days],
        )

    by_account = [(account, values(account.id)) for account in accounts]
    return Summary(
        period,
        figures([item for _, item in by_account]),
        [(account, figures([item])) for account, item in by_account],
    )
