"""What LinkedIn's notifications and polls mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from libs.contracts.event import Event
from libs.contracts.ingestion import (
    AccountMetricsObserved,
    AudienceObserved,
    CityCount,
    CommentDeleted,
    CommentEdited,
    CommentReceived,
    CountryCount,
    MentionReceived,
    PostMetricsObserved,
    ReactionKind,
    ReactionReceived,
)
from libs.platforms.base import Raw
from libs.platforms.shapes import count, dig, identifier, mappings, text, total, unix_time
from libs.platforms.translation import About, Translator, about, polled

_ENGAGEMENTS = ("likeCount", "commentCount", "shareCount")


def _notified(raw: Raw) -> About:
    return about(raw, unix_time(raw.payload.get("lastModifiedAt")))


def _activity(raw: Raw) -> dict[str, Any]:
    """What LinkedIn tells of the comment, share or like behind the notification."""
    decorated = raw.payload.get("decoratedGeneratedActivity")
    parts = decorated.values() if isinstance(decorated, dict) else ()
    return next((part for part in parts if isinstance(part, dict)), {})


def _generated(raw: Raw) -> str | None:
    return identifier(raw.payload.get("generatedActivity"))


def _source(raw: Raw) -> str | None:
    return identifier(raw.payload.get("sourcePost"))


def _comment(raw: Raw, *, own: bool) -> Event | None:
    """A comment on a comment says so by its `object`."""
    activity = _activity(raw)
    parent = identifier(activity.get("object"))
    return CommentReceived.model_validate(
        {
            **_notified(raw),
            "comment_id": _generated(raw),
            "post_id": _source(raw),
            "parent_id": parent if parent and parent.startswith("urn:li:comment:") else None,
            "author_id": identifier(activity.get("owner")),
            "text": text(activity.get("text")),
            "own": own,
        }
    )


def _edit(raw: Raw) -> Event | None:
    activity = _activity(raw)
    return CommentEdited.model_validate(
        {
            **_notified(raw),
            "comment_id": _generated(raw),
            "post_id": _source(raw),
            "author_id": identifier(activity.get("owner")),
            "text": text(activity.get("text")),
        }
    )


def _deletion(raw: Raw) -> Event | None:
    return CommentDeleted.model_validate(
        {**_notified(raw), "comment_id": _generated(raw), "post_id": _source(raw)}
    )


def _reaction(raw: Raw, kind: ReactionKind) -> Event | None:
    activity = _activity(raw)
    return ReactionReceived(
        **_notified(raw),
        kind=kind,
        post_id=_source(raw),
        reaction_id=_generated(raw),
        author_id=identifier(activity.get("owner")) or _liker(raw),
        text=text(activity.get("text")),
    )


def _liker(raw: Raw) -> str | None:
    """A like is not described, but its URN names who liked: `urn:li:like:(<person>,<post>)`."""
    inside = (_generated(raw) or "").partition("urn:li:like:(")[2]
    return identifier(inside.partition(",")[0])


def _mention(raw: Raw) -> Event | None:
    """The generated activity is the post that names the organisation."""
    activity = _activity(raw)
    return MentionReceived.model_validate(
        {
            **_notified(raw),
            "post_id": _generated(raw) or _source(raw),
            "author_id": identifier(activity.get("owner")),
            "text": text(activity.get("text")),
        }
    )


def _account(raw: Raw) -> Event | None:
    """Statistics are of the days asked for. Following does not exist for an organisation."""
    facts, responses = polled(raw)
    if "member_followers" in responses:
        return _member(facts, responses)
    shares = [
        element.get("totalShareStatistics")
        for element in mappings(dig(responses, "share_statistics", "elements"))
    ]
    views = [
        dig(element, "totalPageStatistics", "views", "allPageViews", "pageViews")
        for element in mappings(dig(responses, "page_statistics", "elements"))
    ]
    gains = [
        dig(element, "followerGains", name)
        for element in mappings(dig(responses, "follower_gains", "elements"))
        for name in ("organicFollowerGain", "paidFollowerGain")
    ]
    # Gains may be negative, which `count` would take for unknown.
    known_gains = [gain for gain in gains if type(gain) is int]
    clicks = total(count(dig(share, "clickCount")) for share in shares)
    return AccountMetricsObserved(
        **facts,
        followers_count=count(dig(responses, "network_size", "firstDegreeSize")),
        posts_count=count(dig(responses, "posts", "paging", "total")),
        reach=total(count(dig(share, "uniqueImpressionsCount")) for share in shares),
        impressions=total(count(dig(share, "impressionCount")) for share in shares),
        engagement_count=total(
            count(dig(share, name)) for share in shares for name in _ENGAGEMENTS
        ),
        profile_views=total(count(view) for view in views),
        extra_data={
            **({} if clicks is None else {"clicks": clicks}),
            **({"follower_gains": sum(known_gains)} if known_gains else {}),
        },
    )


def _member(facts: About, responses: dict[str, Any]) -> Event | None:
    """A person's own numbers: one answer per kind of query, each with one element per day."""

    def day(*queries: str) -> int | None:
        return total(
            count(element.get("count"))
            for query in queries
            for element in mappings(dig(responses, "member_analytics", query, "elements"))
        )

    return AccountMetricsObserved(
        **facts,
        followers_count=count(
            dig(responses, "member_followers", "elements", 0, "memberFollowersCount")
        ),
        reach=day("MEMBERS_REACHED"),
        impressions=day("IMPRESSION"),
        engagement_count=day("REACTION", "COMMENT", "RESHARE"),
    )


def _media_type(post: Any) -> str | None:
    if dig(post, "content", "multiImage") is not None:
        return "carousel"
    urn = str(dig(post, "content", "media", "id"))
    return {"image": "photo", "video": "video"}.get(urn.removeprefix("urn:li:").partition(":")[0])


def _post_metrics(raw: Raw) -> Event | None:
    facts, responses = polled(raw)
    post = responses.get("post")
    totals = dig(responses, "statistics", "totalShareStatistics")
    published = dig(post, "publishedAt")
    return PostMetricsObserved.model_validate(
        {
            **facts,
            "platform_post_id": identifier(dig(post, "id")),
            "post_url": f"https://www.linkedin.com/feed/update/{dig(post, 'id')}/",
            "caption": text(dig(post, "commentary")),
            "media_type": _media_type(post),
            "likes_count": count(dig(totals, "likeCount")),
            "comments_count": count(dig(totals, "commentCount")),
            "shares_count": count(dig(totals, "shareCount")),
            "reach": count(dig(totals, "uniqueImpressionsCount")),
            "posted_at": unix_time(published if published is not None else dig(post, "createdAt")),
        }
    )


def _followers(raw: Raw, name: str) -> list[tuple[str, int]]:
    """Followers by place. LinkedIn names places by URN only; that is kept as it is."""
    found = []
    for element in mappings(dig(raw.payload, "responses", "follower_statistics", "elements")):
        for group in mappings(element.get(name)):
            counts = group.get("followerCounts")
            number = total(
                count(dig(counts, part)) for part in ("organicFollowerCount", "paidFollowerCount")
            )
            place = identifier(group.get("geo"))
            if place is not None and number is not None:
                found.append((place, number))
    return found


def _audience(raw: Raw) -> Event | None:
    facts, _ = polled(raw)
    countries = _followers(raw, "followerCountsByGeoCountry")
    regions = _followers(raw, "followerCountsByGeo")
    return AudienceObserved(
        **facts,
        snapshot_date=facts["occurred_at"].date(),
        countries=tuple(CountryCount(country=place, count=n) for place, n in countries) or None,
        cities=tuple(CityCount(city=place, count=n) for place, n in regions) or None,
    )


TRANSLATORS: Mapping[str, Translator] = {
    "LIKE": lambda raw: _reaction(raw, "like"),
    "COMMENT": lambda raw: _comment(raw, own=False),
    "ADMIN_COMMENT": lambda raw: _comment(raw, own=True),
    "COMMENT_EDIT": _edit,
    "COMMENT_DELETE": _deletion,
    "SHARE": lambda raw: _reaction(raw, "share"),
    "SHARE_MENTION": _mention,
    "poll.account": _account,
    "poll.posts": _post_metrics,
    "poll.audience": _audience,
}
