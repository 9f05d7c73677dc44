"""What Instagram's webhooks, callbacks and polls mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from libs.contracts.event import Event
from libs.contracts.ingestion import (
    AccountMetricsObserved,
    AuthorizationRevoked,
    CommentReceived,
    DataDeletionRequested,
    MentionReceived,
    PostMetricsObserved,
    StoryInsightsReceived,
)
from libs.platforms.base import Raw
from libs.platforms.instagram.audience import observed_audience
from libs.platforms.instagram.webhooks import DATA_DELETION, DEAUTHORIZE
from libs.platforms.shapes import count, dig, identifier, iso_time, mappings, text, unix_time
from libs.platforms.translation import About, Translator, about, polled

_ACCOUNT_EXTRAS = (
    "accounts_engaged",
    "likes",
    "comments",
    "shares",
    "saves",
    "replies",
    "profile_links_taps",
)
_MEDIA_TYPES = {"IMAGE": "photo", "VIDEO": "video", "CAROUSEL_ALBUM": "carousel"}


def _notified(raw: Raw) -> About:
    return about(raw, unix_time(raw.payload.get("time")))


def _comment(raw: Raw) -> Event | None:
    """`self_ig_scoped_id` marks the account's own comments."""
    value = raw.payload.get("value")
    author = identifier(dig(value, "from", "id"))
    own = dig(value, "from", "self_ig_scoped_id") is not None
    return CommentReceived.model_validate(
        {
            **_notified(raw),
            "comment_id": identifier(dig(value, "id")) or identifier(dig(value, "comment_id")),
            "post_id": identifier(dig(value, "media", "id")) or identifier(dig(value, "media_id")),
            "parent_id": identifier(dig(value, "parent_id")),
            "author_id": author,
            "author_name": text(dig(value, "from", "username")),
            "text": text(dig(value, "text")),
            "own": own or (author is not None and author == raw.payload.get("entry_id")),
        }
    )


def _mention(raw: Raw) -> Event | None:
    """Without a comment id it is the caption that names the account. The text is not sent."""
    value = raw.payload.get("value")
    return MentionReceived.model_validate(
        {
            **_notified(raw),
            "post_id": identifier(dig(value, "media_id")),
            "comment_id": identifier(dig(value, "comment_id")),
        }
    )


def _story(raw: Raw) -> Event | None:
    value = raw.payload.get("value")
    names = ("exits", "replies", "reach", "impressions", "taps_forward", "taps_back")
    return StoryInsightsReceived.model_validate(
        {
            **_notified(raw),
            "media_id": identifier(dig(value, "media_id")),
            **{name: count(dig(value, name)) for name in names},
        }
    )


def _deauthorisation(raw: Raw) -> Event | None:
    facts = about(raw, unix_time(raw.payload.get("issued_at")))
    return AuthorizationRevoked(**facts, reason="revoked-by-user")


def _data_deletion(raw: Raw) -> Event | None:
    return DataDeletionRequested.model_validate(
        {
            **about(raw, unix_time(raw.payload.get("issued_at"))),
            "confirmation_code": raw.payload.get("confirmation_code"),
        }
    )


def _totals(body: Any) -> dict[str, int | None]:
    """The `total_value` of each metric. Instagram leaves out the metrics it has no data for."""
    return {
        str(metric.get("name")): count(dig(metric, "total_value", "value"))
        for metric in mappings(dig(body, "data"))
    }


def _account(raw: Raw) -> Event | None:
    """Instagram renamed impressions to views."""
    facts, responses = polled(raw)
    profile, day = responses.get("profile"), _totals(responses.get("insights"))
    extras = {name: day[name] for name in _ACCOUNT_EXTRAS if day.get(name) is not None}
    return AccountMetricsObserved(
        **facts,
        followers_count=count(dig(profile, "followers_count")),
        following_count=count(dig(profile, "follows_count")),
        posts_count=count(dig(profile, "media_count")),
        reach=day.get("reach"),
        impressions=day.get("views"),
        engagement_count=day.get("total_interactions"),
        profile_views=_totals(responses.get("profile_views")).get("profile_views"),
        extra_data=extras,
    )


def _post_metrics(raw: Raw) -> Event | None:
    facts, responses = polled(raw)
    media = responses.get("media")
    lifetime = {
        str(metric.get("name")): count(dig(metric, "values", 0, "value"))
        for metric in mappings(dig(responses, "insights", "data"))
    }
    likes, comments = lifetime.get("likes"), lifetime.get("comments")
    reel = dig(media, "media_product_type") == "REELS"
    return PostMetricsObserved.model_validate(
        {
            **facts,
            "platform_post_id": identifier(dig(media, "id")),
            "post_url": text(dig(media, "permalink")),
            "caption": text(dig(media, "caption")),
            "media_type": "reel" if reel else _MEDIA_TYPES.get(str(dig(media, "media_type"))),
            "likes_count": likes if likes is not None else count(dig(media, "like_count")),
            "comments_count": (
                comments if comments is not None else count(dig(media, "comments_count"))
            ),
            "shares_count": lifetime.get("shares"),
            "saves_count": lifetime.get("saved"),
            "reach": lifetime.get("reach"),
            "posted_at": iso_time(dig(media, "timestamp")),
        }
    )


TRANSLATORS: Mapping[str, Translator] = {
    "comments": _comment,
    "live_comments": _comment,
    "mentions": _mention,
    "story_insights": _story,
    DEAUTHORIZE: _deauthorisation,
    DATA_DELETION: _data_deletion,
    "poll.account": _account,
    "poll.posts": _post_metrics,
    "poll.audience": observed_audience,
}
