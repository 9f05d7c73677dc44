"""The deprecated Account Activity API of X: lists of one kind for one account in each POST."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from libs.contracts.event import Event
from libs.contracts.ingestion import (
    AuthorizationRevoked,
    CommentReceived,
    FollowerGained,
    FollowerLost,
    MentionReceived,
    PostDeleted,
    PostObserved,
    ReactionKind,
    ReactionReceived,
)
from libs.platforms.base import Change, Raw, Unsplittable, Untranslatable
from libs.platforms.shapes import count, dig, identifier, required, text, unix_time
from libs.platforms.signing import fingerprint
from libs.platforms.translation import Translator, about

POSTS = "tweet_create_events"
FOLLOWS = "follow_events"
DELETIONS = "tweet_delete_events"
REVOCATION = "user_event.revoke"

_REPEATS: Mapping[str, ReactionKind] = {"retweeted_status": "repost", "quoted_status": "quote"}
_FOLLOWS: Mapping[str, type[FollowerGained | FollowerLost]] = {
    "follow": FollowerGained,
    "unfollow": FollowerLost,
}


def split(document: dict[str, Any]) -> list[Change]:
    """The items of the lists this document holds; raises Unsplittable when it holds none."""
    revoked = dig(document, "user_event", "revoke")
    if isinstance(revoked, dict):
        user = identifier(dig(revoked, "source", "user_id"))
        return [Change(user, REVOCATION, (REVOCATION, fingerprint(revoked)), revoked)]
    user = identifier(document.get("for_user_id"))
    lists = {kind: document[kind] for kind in (POSTS, FOLLOWS, DELETIONS) if kind in document}
    if user is None or not lists or not all(isinstance(items, list) for items in lists.values()):
        raise Unsplittable("not an X activity event")
    return [
        Change(user, kind, (user, kind, _identity(kind, item)), {"for_user_id": user, "item": item})
        for kind, items in lists.items()
        for item in items
    ]


def _identity(kind: str, item: Any) -> str:
    path = {POSTS: ("id_str",), DELETIONS: ("status", "id")}.get(kind)
    return (identifier(dig(item, *path)) if path else None) or fingerprint(item)


def _post(raw: Raw) -> Event | None:
    """A post by, or aimed at, the account. What it is to the account decides what it means."""
    me, post = raw.payload.get("for_user_id"), raw.payload.get("item")
    number = required(identifier(dig(post, "id_str")))
    author = identifier(dig(post, "user", "id_str"))
    name, words = text(dig(post, "user", "screen_name")), text(dig(post, "text"))
    facts = about(raw, _written_time(dig(post, "created_at")))
    if author == me:
        return PostObserved(**facts, post_id=number, text=words, posted_at=facts["occurred_at"])
    parent = identifier(dig(post, "in_reply_to_status_id_str"))
    if parent and identifier(dig(post, "in_reply_to_user_id_str")) == me:
        return CommentReceived(
            **facts,
            comment_id=number,
            post_id=parent,
            author_id=author,
            author_name=name,
            text=words,
        )
    for field, kind in _REPEATS.items():
        if identifier(dig(post, field, "user", "id_str")) == me:
            return ReactionReceived(
                **facts,
                kind=kind,
                post_id=identifier(dig(post, field, "id_str")),
                reaction_id=number,
                author_id=author,
                author_name=name,
                text=words,
            )
    return MentionReceived(**facts, post_id=number, author_id=author, author_name=name, text=words)


def _follow(raw: Raw) -> Event | None:
    """A follow or unfollow of the account; None when it is the account that followed someone."""
    me, item = raw.payload.get("for_user_id"), raw.payload.get("item")
    event = _FOLLOWS.get(str(dig(item, "type")))
    if event is None:
        raise Untranslatable("neither a follow nor an unfollow")
    if identifier(dig(item, "target", "id")) != me:
        return None
    stamp = identifier(dig(item, "created_timestamp"))
    verified = dig(item, "source", "verified")
    return event(
        **about(raw, unix_time(int(stamp)) if stamp and stamp.isdecimal() else None),
        user_id=required(identifier(dig(item, "source", "id"))),
        username=required(identifier(dig(item, "source", "screen_name"))),
        profile_pic_url=text(dig(item, "source", "profile_image_url_https")),
        verified=verified if isinstance(verified, bool) else None,
        follower_count=count(dig(item, "source", "followers_count")),
    )


def _deletion(raw: Raw) -> Event | None:
    """None when the deleted post was not the account's own."""
    status = dig(raw.payload, "item", "status")
    if identifier(dig(status, "user_id")) != raw.payload.get("for_user_id"):
        return None
    return PostDeleted(**about(raw), post_id=required(identifier(dig(status, "id"))))


def _revocation(raw: Raw) -> Event | None:
    return AuthorizationRevoked(**about(raw), reason="revoked-by-user")


def _written_time(value: Any) -> datetime | None:
    """The time of the old API, as in `Wed Oct 10 20:19:24 +0000 2018`."""
    if value is None:
        return None
    try:
        return datetime.strptime(value, "%a %b %d %H:%M:%S %z %Y").astimezone(UTC)
    except (TypeError, ValueError):
        raise Untranslatable("a time is not in the old form") from None


TRANSLATORS: Mapping[str, Translator] = {
    POSTS: _post,
    FOLLOWS: _follow,
    DELETIONS: _deletion,
    REVOCATION: _revocation,
}
