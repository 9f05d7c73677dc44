"""Events of the ingestion service, topic `ingestion.events`: what the platforms said, in our words.

Stream: `account-<id>`. Each is the translation of one row of the `events` table. `occurred_at` is
the platform's time where it gives one, else the time of receipt. A field is None where the
platform does not say; a metric it cannot give is None, never 0.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from libs.contracts.accounts import PlatformName
from libs.contracts.event import Event, Value

Count = Annotated[int, Field(ge=0, le=2_147_483_647)]
Total = Annotated[int, Field(ge=0, le=9_007_199_254_740_991)]
PlatformId = Annotated[str, Field(min_length=1, max_length=255)]
Share = Annotated[float, Field(ge=0, le=1_000_000_000)]
MediaType = Literal["photo", "video", "carousel", "reel"]
ReactionKind = Literal["like", "repost", "quote", "share"]
PublishType = str


class PlatformEvent(Event):
    """What every translation carries: the account it concerns."""

    account_id: UUID
    workspace_id: UUID
    platform: PlatformName
    occurred_at: AwareDatetime


class CommentReceived(PlatformEvent, type="ingestion.comment_received.v1"):
    """Someone commented on, or replied to, a post of the account. Own comments are `own`."""

    comment_id: PlatformId
    post_id: PlatformId | None = None
    parent_id: PlatformId | None = None
    author_id: PlatformId | None = None
    author_name: str | None = None
    text: str | None = None
    own: bool = False


class CommentEdited(PlatformEvent, type="ingestion.comment_edited.v1"):
    comment_id: PlatformId
    post_id: PlatformId | None = None
    author_id: PlatformId | None = None
    text: str | None = None


class CommentDeleted(PlatformEvent, type="ingestion.comment_deleted.v1"):
    comment_id: PlatformId
    post_id: PlatformId | None = None


class MentionReceived(PlatformEvent, type="ingestion.mention_received.v1"):
    """The account was named in a post, caption or comment. At least one of the ids is given."""

    post_id: PlatformId | None = None
    comment_id: PlatformId | None = None
    author_id: PlatformId | None = None
    author_name: str | None = None
    text: str | None = None


class ReactionReceived(PlatformEvent, type="ingestion.reaction_received.v1"):
    """A like, repost, quote or share of a post of the account."""

    kind: ReactionKind
    post_id: PlatformId | None = None
    reaction_id: PlatformId | None = None
    author_id: PlatformId | None = None
    author_name: str | None = None
    text: str | None = None


class StoryInsightsReceived(PlatformEvent, type="ingestion.story_insights_received.v1"):
    """Final counts of an Instagram story; the platform says -1 below five, which is None here."""

    media_id: PlatformId
    exits: Count | None = None
    replies: Count | None = None
    reach: Count | None = None
    impressions: Count | None = None
    taps_forward: Count | None = None
    taps_back: Count | None = None


class PostObserved(PlatformEvent, type="ingestion.post_observed.v1"):
    """The account published a post, by whatever client."""

    post_id: PlatformId
    text: str | None = None
    posted_at: AwareDatetime | None = None


class PostDeleted(PlatformEvent, type="ingestion.post_deleted.v1"):
    post_id: PlatformId


class PublishCompleted(PlatformEvent, type="ingestion.publish_completed.v1"):
    """TikTok finished a publish; the post id may come later with PostBecamePublic."""

    publish_id: PlatformId
    publish_type: PublishType | None = None


class PublishFailed(PlatformEvent, type="ingestion.publish_failed.v1"):
    publish_id: PlatformId
    reason: str | None = None
    publish_type: PublishType | None = None


class PublishDeliveredToInbox(PlatformEvent, type="ingestion.publish_delivered_to_inbox.v1"):
    publish_id: PlatformId
    publish_type: PublishType | None = None


class PostBecamePublic(PlatformEvent, type="ingestion.post_became_public.v1"):
    publish_id: PlatformId
    post_id: PlatformId
    publish_type: PublishType | None = None


class PostBecamePrivate(PlatformEvent, type="ingestion.post_became_private.v1"):
    publish_id: PlatformId
    post_id: PlatformId
    publish_type: PublishType | None = None


class FollowerGained(PlatformEvent, type="ingestion.follower_gained.v1"):
    """A follow that names the follower. `follower_count` is theirs, not the account's."""

    user_id: PlatformId
    username: Annotated[str, Field(min_length=1, max_length=255)]
    profile_pic_url: str | None = None
    verified: bool | None = None
    follower_count: Count | None = None


class FollowerLost(PlatformEvent, type="ingestion.follower_lost.v1"):
    """An unfollow that names the former follower; fields as in FollowerGained."""

    user_id: PlatformId
    username: Annotated[str, Field(min_length=1, max_length=255)]
    profile_pic_url: str | None = None
    verified: bool | None = None
    follower_count: Count | None = None


class AuthorizationRevoked(PlatformEvent, type="ingestion.authorization_revoked.v1"):
    """The person took the grant back at the platform; the token is already dead."""

    reason: str


class DataDeletionRequested(PlatformEvent, type="ingestion.data_deletion_requested.v1"):
    """The person asked the platform that we delete what we hold of them."""

    confirmation_code: str


class WebhookReplayFinished(PlatformEvent, type="ingestion.webhook_replay_finished.v1"):
    """X finished a webhook replay we had asked for."""

    job_id: PlatformId
    state: str


class AccountMetricsObserved(PlatformEvent, type="ingestion.account_metrics_observed.v1"):
    """A poll of the account's own numbers at `occurred_at`.

    `reach`, `impressions`, `engagement_count` and `profile_views` are of the last 24 hours, as in
    the data model. A platform that knows only sums since the account began gives those in the
    `_total` fields instead: the 24 hours are the difference to the observation a day before.
    """

    followers_count: Count | None = None
    following_count: Count | None = None
    posts_count: Count | None = None
    reach: Count | None = None
    impressions: Count | None = None
    engagement_count: Count | None = None
    profile_views: Count | None = None
    impressions_total: Total | None = None
    engagement_total: Total | None = None
    extra_data: dict[str, Any] = Field(default_factory=dict)


class PostMetricsObserved(PlatformEvent, type="ingestion.post_metrics_observed.v1"):
    """A poll of one post's lifetime numbers at `occurred_at`."""

    platform_post_id: PlatformId
    post_url: str
    caption: str | None = None
    media_type: MediaType | None = None
    likes_count: Count | None = None
    comments_count: Count | None = None
    shares_count: Count | None = None
    saves_count: Count | None = None
    reach: Count | None = None
    posted_at: AwareDatetime


class AgeRange(Value):
    range: str
    count: Count


class GenderCount(Value):
    gender: str
    count: Count


class CountryCount(Value):
    country: str
    count: Count


class CityCount(Value):
    city: str
    count: Count


class HourActivity(Value):
    hour: Annotated[int, Field(ge=0, le=23)]
    activity: Share


class DayActivity(Value):
    day: str
    activity: Share


class AudienceObserved(PlatformEvent, type="ingestion.audience_observed.v1"):
    """The audience as the platform described it on `snapshot_date` (UTC). None: it cannot say."""

    snapshot_date: date
    age_ranges: tuple[AgeRange, ...] | None = None
    genders: tuple[GenderCount, ...] | None = None
    countries: tuple[CountryCount, ...] | None = None
    cities: tuple[CityCount, ...] | None = None
    active_hours: tuple[HourActivity, ...] | None = None
    active_days: tuple[DayActivity, ...] | None = None
