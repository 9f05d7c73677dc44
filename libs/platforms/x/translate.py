"""What X's events and polls mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from libs.contracts.event import Event
from libs.contracts.ingestion import (
    AccountMetricsObserved,
    AuthorizationRevoked,
    CommentReceived,
    FollowerGained,
    FollowerLost,
    MentionReceived,
    PostDeleted,
    PostMetricsObserved,
    PostObserved,
    ReactionKind,
    ReactionReceived,
    WebhookReplayFinished,
)
from libs.platforms.base import Raw
from libs.platforms.shapes import (
    count,
    dig,
    identifier,
    iso_time,
    mappings,
    required,
    text,
    total,
    unix_time,
)
from libs.platforms.translation import Translator, about, polled
from libs.platforms.x import legacy
from libs.platforms.x.webhooks import REPLAY, REVOKE


def _me(raw: Raw) -> str | None:
    return identifier(dig(raw.payload, "filter", "user_id"))


def _users(raw: Raw) -> dict[str, dict[str, Any]]:
    """The people whom X describes beside the payload, by id."""
    users = mappings(dig(raw.payload, "includes", "users"))
    return {number: user for user in users if (number := identifier(user.get("id")))}


def _author_name(raw: Raw) -> str | None:
    author = identifier(dig(raw.payload, "payload", "author_id"))
    return text(dig(_users(raw).get(author or ""), "username"))


def _referenced(post: Any, kind: str) -> str | None:
    """The id of the post that this one replies to, quotes or repeats."""
    for reference in mappings(dig(post, "referenced_tweets")):
        if reference.get("type") == kind:
            return identifier(reference.get("id"))
    return None


def _post(raw: Raw) -> Event | None:
    """The account's own post; None when someone else wrote it, which is not for this event."""
    post = dig(raw.payload, "payload")
    if identifier(dig(post, "author_id")) != _me(raw):
        return None
    written = iso_time(dig(post, "created_at"))
    return PostObserved(
        **about(raw, written),
        post_id=required(identifier(dig(post, "id"))),
        text=text(dig(post, "text")),
        posted_at=written,
    )


def _mention(raw: Raw) -> Event | None:
    post = dig(raw.payload, "payload")
    return MentionReceived(
        **about(raw, iso_time(dig(post, "created_at"))),
        post_id=required(identifier(dig(post, "id"))),
        author_id=identifier(dig(post, "author_id")),
        author_name=_author_name(raw),
        text=text(dig(post, "text")),
    )


def _reply(raw: Raw) -> Event | None:
    """A reply to a post of the account, which X calls the conversation when it began it."""
    post = dig(raw.payload, "payload")
    author = identifier(dig(post, "author_id"))
    parent = identifier(dig(post, "in_reply_to_tweet_id")) or _referenced(post, "replied_to")
    begun_by = identifier(dig(post, "conversation_id"))
    return CommentReceived(
        **about(raw, iso_time(dig(post, "created_at"))),
        comment_id=required(identifier(dig(post, "id"))),
        post_id=begun_by or parent,
        parent_id=parent if parent != begun_by else None,
        author_id=author,
        author_name=_author_name(raw),
        text=text(dig(post, "text")),
        own=author is not None and author == _me(raw),
    )


def _repeat(raw: Raw, kind: ReactionKind, reference: str) -> Event | None:
    post = dig(raw.payload, "payload")
    return ReactionReceived(
        **about(raw, iso_time(dig(post, "created_at"))),
        kind=kind,
        post_id=_referenced(post, reference),
        reaction_id=required(identifier(dig(post, "id"))),
        author_id=identifier(dig(post, "author_id")),
        author_name=_author_name(raw),
        text=text(dig(post, "text")),
    )


def _deletion(raw: Raw) -> Event | None:
    post = required(identifier(dig(raw.payload, "payload", "id")))
    return PostDeleted(**about(raw), post_id=post)


def _follow(raw: Raw, event: type[FollowerGained | FollowerLost]) -> Event | None:
    """The source follows the target; None when the source is the account itself."""
    source = dig(raw.payload, "payload", "source", "data")
    user = required(identifier(dig(source, "id")))
    if user == _me(raw):
        return None
    verified = dig(source, "verified")
    return event(
        **about(raw),
        user_id=user,
        username=required(identifier(dig(source, "username"))),
        profile_pic_url=text(dig(source, "profile_image_url")),
        verified=verified if isinstance(verified, bool) else None,
        follower_count=count(dig(source, "public_metrics", "followers_count")),
    )


def _like(raw: Raw) -> Event | None:
    """A like of the account's post; None when the account liked someone else's.

    The payload does not name who liked; when one other person stands beside it, it is they.
    """
    like = dig(raw.payload, "payload")
    owner = identifier(dig(like, "liked_tweet_author_id"))
    if owner is not None and owner != _me(raw):
        return None
    others = [(number, user) for number, user in _users(raw).items() if number != _me(raw)]
    author, user = others[0] if len(others) == 1 else (None, None)
    return ReactionReceived(
        **about(raw, iso_time(dig(like, "created_at")) or unix_time(dig(like, "timestamp_ms"))),
        kind="like",
        post_id=required(identifier(dig(like, "liked_tweet_id"))),
        reaction_id=identifier(dig(like, "id")),
        author_id=author,
        author_name=text(dig(user, "username")),
    )


def _revocation(raw: Raw) -> Event | None:
    when = iso_time(dig(raw.payload, "payload", "date_time"))
    return AuthorizationRevoked(**about(raw, when), reason="revoked-by-user")


def _replay(raw: Raw) -> Event | None:
    job = dig(raw.payload, REPLAY) or dig(raw.payload, "payload")
    state = text(dig(job, "job_state")) or text(dig(job, "state"))
    return WebhookReplayFinished(
        **about(raw), job_id=required(identifier(dig(job, "job_id"))), state=required(state)
    )


def _account(raw: Raw) -> Event | None:
    """`analytics` holds what the recent posts did within the last day, post by post."""
    facts, responses = polled(raw)
    public = dig(responses, "user", "data", "public_metrics")
    day = [
        point.get("metrics")
        for post in mappings(dig(responses, "analytics", "data"))
        for point in mappings(post.get("timestamped_metrics"))
    ]
    posts = count(dig(public, "tweet_count"))
    listed = count(dig(public, "listed_count"))
    return AccountMetricsObserved(
        **facts,
        followers_count=count(dig(public, "followers_count")),
        following_count=count(dig(public, "following_count")),
        posts_count=posts if posts is not None else count(dig(public, "post_count")),
        impressions=total(count(dig(metrics, "impressions")) for metrics in day),
        engagement_count=total(count(dig(metrics, "engagements")) for metrics in day),
        extra_data={} if listed is None else {"listed_count": listed},
    )


def _media_type(post: Any) -> str | None:
    """From the kind that media keys begin with; an animated picture is a video to X."""
    keys = dig(post, "attachments", "media_keys")
    if not isinstance(keys, list) or not keys:
        return None
    if len(keys) > 1:
        return "carousel"
    return {"3": "photo", "7": "video", "16": "video"}.get(str(keys[0]).partition("_")[0])


def _post_metrics(raw: Raw) -> Event | None:
    facts, responses = polled(raw)
    post = dig(responses, "tweet")
    number = required(identifier(dig(post, "id")))
    public = dig(post, "public_metrics")
    return PostMetricsObserved.model_validate(
        {
            **facts,
            "platform_post_id": number,
            "post_url": f"https://x.com/i/web/status/{number}",
            "caption": text(dig(post, "text")),
            "media_type": _media_type(post),
            "likes_count": count(dig(public, "like_count")),
            "comments_count": count(dig(public, "reply_count")),
            "shares_count": total(
                count(dig(public, name)) for name in ("retweet_count", "quote_count")
            ),
            "saves_count": count(dig(public, "bookmark_count")),
            "posted_at": iso_time(dig(post, "created_at")),
        }
    )


TRANSLATORS: Mapping[str, Translator] = {
    "post.create": _post,
    "post.mention.create": _mention,
    "post.reply.create": _reply,
    "post.quote.create": lambda raw: _repeat(raw, "quote", "quoted"),
    "post.repost.create": lambda raw: _repeat(raw, "repost", "retweeted"),
    "post.delete": _deletion,
    "follow.follow": lambda raw: _follow(raw, FollowerGained),
    "follow.unfollow": lambda raw: _follow(raw, FollowerLost),
    "like.create": _like,
    REVOKE: _revocation,
    REPLAY: _replay,
    "poll.account": _account,
    "poll.posts": _post_metrics,
    **legacy.TRANSLATORS,
}
