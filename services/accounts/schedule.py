"""When a token is refreshed, and when it is too late. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from libs.platforms.base import Facts, Grant

# A token that lives no longer than this is refreshed before it is lent.
MARGIN = timedelta(minutes=5)
_FIRST_RETRY = timedelta(seconds=30)
_LONGEST_RETRY = timedelta(minutes=30)


def refreshable(grant: Grant, facts: Facts) -> bool:
    """Whether a new token can be had without the person."""
    return facts.refresh == "exchange" or grant.refresh_token is not None


def refresh_at(grant: Grant, facts: Facts, now: datetime, jitter: float) -> datetime | None:
    """After 75 to 85 % of the token's life (by `jitter`, 0 to 1), so that accounts spread out.

    A token that cannot be refreshed comes up when it expires. None: it never expires.
    """
    if grant.expires_at is None:
        return None
    if not refreshable(grant, facts):
        return grant.expires_at
    return now + (grant.expires_at - now) * (0.75 + 0.1 * jitter)


def retry_at(failures: int, now: datetime, jitter: float) -> datetime:
    """The next try after `failures` failed ones: half a minute, doubling, at most half an hour."""
    doubled: timedelta = _FIRST_RETRY * 2 ** min(failures, 10)
    wait = min(doubled, _LONGEST_RETRY)
    return now + wait * (1 + 0.2 * jitter)


def expired(grant: Grant, now: datetime) -> bool:
    """Whether the access token is dead by its own date."""
    return grant.expires_at is not None and grant.expires_at <= now


def lendable(grant: Grant, now: datetime) -> bool:
    """Whether the access token lives long enough to be given to another service."""
    return grant.expires_at is None or grant.expires_at - now > MARGIN
