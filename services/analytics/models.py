"""What analytics answers. Names follow the columns of the data model; null is always unknown."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """Read from rows and dataclasses alike."""

    model_config = ConfigDict(from_attributes=True)


class MetricsSnapshot(Answer):
    """One observation of the account's numbers. The last four counts are of the 24 hours before."""

    id: UUID
    timestamp: dt.datetime
    followers_count: int | None
    following_count: int | None
    posts_count: int | None
    reach: int | None
    impressions: int | None
    engagement_count: int | None
    profile_views: int | None
    extra_data: dict[str, Any] | None


class MetricsPoint(Answer):
    """A day or week. Totals are the last known in it; the 24-hour numbers are the day's last one,
    over a week the sum of its days'.
    """

    timestamp: dt.datetime = Field(description="where it begins")
    until: dt.datetime = Field(description="where it ends, not included")
    date: dt.date = Field(description="its first day in the requested time zone")
    followers_count: int | None
    following_count: int | None
    posts_count: int | None
    reach: int | None = Field(description="over a week, a person counts once per day")
    impressions: int | None
    engagement_count: int | None
    profile_views: int | None
    net_followers: int | None = Field(description="change to the last total known before")
    followers_gained: int | None = Field(
        description="people named as new followers; null where the platform names nobody"
    )
    followers_lost: int | None = Field(
        description="people named as having left; null where the platform names nobody"
    )


class FollowerChange(Answer):
    """One person who followed or left."""

    id: UUID
    change_type: str
    user_id: str
    username: str
    timestamp: dt.datetime
    profile_pic_url: str | None
    verified: bool | None
    follower_count: int | None = Field(description="how many follow that person")
    extra_data: dict[str, Any] | None


class Content(Answer):
    """A post with its newest numbers."""

    id: UUID
    platform_post_id: str
    post_url: str
    caption: str | None
    media_type: str | None
    likes_count: int | None
    comments_count: int | None
    shares_count: int | None
    saves_count: int | None
    reach: int | None
    engagement_rate: float | None = Field(
        description="(likes + comments + shares + saves) / reach * 100; null if reach is 0 or unknown"
    )
    posted_at: dt.datetime
    last_updated: dt.datetime
    deleted_at: dt.datetime | None = Field(description="when the platform said it was deleted")


class Audience(Answer):
    """Who the followers are; a part that the platform cannot describe is null."""

    snapshot_date: dt.date
    age_ranges: list[dict[str, Any]] | None
    genders: list[dict[str, Any]] | None
    countries: list[dict[str, Any]] | None
    cities: list[dict[str, Any]] | None
    active_hours: list[dict[str, Any]] | None
    active_days: list[dict[str, Any]] | None


class Change(Answer):
    """A number against the period before. Over several accounts, the change counts only those
    known in both periods.
    """

    value: int | None
    previous: int | None
    change: int | None
    change_percent: float | None = Field(description="null where the base is 0 or unknown")


class Figures(Answer):
    """Totals at the end of the period, net followers in it, and sums over its days."""

    followers_count: Change
    posts_count: Change
    net_followers: Change
    reach: Change
    impressions: Change
    engagement_count: Change
    profile_views: Change


class AccountFigures(Figures):
    """An account's own figures."""

    social_account_id: UUID
    platform: str
    handle: str
    status: str


class WorkspaceSummary(Answer):
    """All accounts of the workspace over whole days of the time zone."""

    since: dt.datetime
    until: dt.datetime
    previous_since: dt.datetime
    days: int
    totals: Figures
    accounts: list[AccountFigures]
