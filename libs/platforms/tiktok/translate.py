"""What TikTok's events and polls mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from libs.contracts.event import Event
from libs.contracts.ingestion import (
    AccountMetricsObserved,
    AuthorizationRevoked,
    PostBecamePrivate,
    PostBecamePublic,
    PostMetricsObserved,
    PublishCompleted,
    PublishDeliveredToInbox,
    PublishFailed,
)
from libs.platforms.base import Raw, Untranslatable
from libs.platforms.shapes import (
    LARGEST_TOTAL,
    count,
    dig,
    identifier,
    mappings,
    required,
    text,
    total,
    unix_time,
)
from libs.platforms.tiktok.webhooks import content
from libs.platforms.translation import Translator, about, polled

_REASONS = {
    1: "revoked-by-user",
    2: "account-deleted",
    3: "age-restricted",
    4: "account-banned",
    5: "revoked-by-developer",
}


def _content(raw: Raw) -> dict[str, Any]:
    inner = content(raw.payload)
    if inner is None:
        raise Untranslatable("the content is no JSON object")
    return inner


def _revocation(raw: Raw) -> Event | None:
    reason = _content(raw).get("reason")
    return AuthorizationRevoked(
        **about(raw, unix_time(raw.payload.get("create_time"))),
        reason=_REASONS.get(reason, "unknown") if isinstance(reason, int) else "unknown",
    )


def _publish(
    raw: Raw, event: type[PublishCompleted | PublishFailed | PublishDeliveredToInbox]
) -> Event | None:
    inner = _content(raw)
    facts: dict[str, Any] = {
        **about(raw, unix_time(raw.payload.get("create_time"))),
        "publish_id": identifier(inner.get("publish_id")),
        "publish_type": text(inner.get("publish_type")),
    }
    if event is PublishFailed:
        facts["reason"] = text(inner.get("reason")) or text(inner.get("fail_reason"))
    return event.model_validate(facts)


def _visibility(raw: Raw, event: type[PostBecamePublic | PostBecamePrivate]) -> Event | None:
    inner = _content(raw)
    return event(
        **about(raw, unix_time(raw.payload.get("create_time"))),
        publish_id=required(identifier(inner.get("publish_id"))),
        post_id=required(identifier(inner.get("post_id"))),
        publish_type=text(inner.get("publish_type")),
    )


def _account(raw: Raw) -> Event | None:
    """Views and engagement are sums over all videos since they were posted, so they go into the
    lifetime fields; with pages of the list missing the sums would be wrong, and are None.
    """
    facts, responses = polled(raw)
    user = dig(responses, "user", "data", "user")
    pages = mappings(responses.get("videos"))
    complete = bool(pages) and dig(pages[-1], "data", "has_more") is not True
    videos = [video for page in pages for video in mappings(dig(page, "data", "videos"))]
    if not complete:
        videos = []
    likes = count(dig(user, "likes_count"))
    return AccountMetricsObserved(
        **facts,
        followers_count=count(dig(user, "follower_count")),
        following_count=count(dig(user, "following_count")),
        posts_count=count(dig(user, "video_count")),
        impressions_total=_lifetime(videos, "view_count"),
        engagement_total=_lifetime(videos, "like_count", "comment_count", "share_count"),
        extra_data={} if likes is None else {"likes_count": likes},
    )


def _lifetime(videos: list[dict[str, Any]], *names: str) -> int | None:
    counts = (count(video.get(name), LARGEST_TOTAL) for video in videos for name in names)
    return total(counts, LARGEST_TOTAL)


def _post_metrics(raw: Raw) -> Event | None:
    facts, responses = polled(raw)
    video = dig(responses, "video")
    return PostMetricsObserved.model_validate(
        {
            **facts,
            "platform_post_id": identifier(dig(video, "id")),
            "post_url": text(dig(video, "share_url")),
            "caption": text(dig(video, "video_description")) or text(dig(video, "title")),
            "media_type": "video",
            "likes_count": count(dig(video, "like_count")),
            "comments_count": count(dig(video, "comment_count")),
            "shares_count": count(dig(video, "share_count")),
            "posted_at": unix_time(dig(video, "create_time")),
        }
    )


TRANSLATORS: Mapping[str, Translator] = {
    "authorization.removed": _revocation,
    "post.publish.failed": lambda raw: _publish(raw, PublishFailed),
    "post.publish.complete": lambda raw: _publish(raw, PublishCompleted),
    "post.publish.inbox_delivered": lambda raw: _publish(raw, PublishDeliveredToInbox),
    "post.publish.publicly_available": lambda raw: _visibility(raw, PostBecamePublic),
    # The misspelling is TikTok's own.
    "post.publish.no_longer_publicaly_available": lambda raw: _visibility(raw, PostBecamePrivate),
    "poll.account": _account,
    "poll.posts": _post_metrics,
}
