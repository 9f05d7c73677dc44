"""For each event that a platform names: a webhook that says it, and what it means to us."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from libs.contracts import ingestion as said
from libs.contracts.accounts import PlatformName
from libs.contracts.event import Event


@dataclass(frozen=True)
class Sample:
    """`fields` are those of the event that matter; the account and the time are checked for all."""

    platform: PlatformName
    kind: str
    document: dict[str, Any]
    event: type[Event]
    fields: dict[str, Any] = field(default_factory=dict)


def instagram(kind: str, value: dict[str, Any], event: type[Event], /, **fields: Any) -> Sample:
    change = {"field": kind, "value": value}
    entry = {"id": "17841400000000001", "time": 1767225600, "changes": [change]}
    document = {"object": "instagram", "entry": [entry]}
    return Sample("instagram", kind, document, event, fields)


def tiktok(kind: str, content: dict[str, Any], event: type[Event], /, **fields: Any) -> Sample:
    document = {
        "client_key": "ck_test",
        "event": kind,
        "create_time": 1767225600,
        "user_openid": "open-1",
        "content": orjson.dumps(content).decode(),
    }
    return Sample("tiktok", kind, document, event, fields)


def linkedin(
    action: str, generated: str, decorated: dict[str, Any], event: type[Event], /, **fields: Any
) -> Sample:
    notification = {
        "notificationId": 101,
        "organizationalEntity": "urn:li:organization:1",
        "action": action,
        "sourcePost": "urn:li:share:2",
        "generatedActivity": generated,
        "decoratedGeneratedActivity": decorated,
        "lastModifiedAt": 1767225600000,
        "subscriber": "urn:li:person:y",
    }
    document = {
        "type": "ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS",
        "notifications": [notification],
    }
    return Sample("linkedin", action, document, event, fields)


def x(kind: str, payload: dict[str, Any], event: type[Event], /, **fields: Any) -> Sample:
    data: dict[str, Any] = {
        "event_uuid": "-42",
        "filter": {"user_id": "7"},
        "event_type": kind,
        "payload": payload,
        "includes": {"users": [{"id": "8", "username": "ana"}, {"id": "7", "username": "me"}]},
    }
    return Sample("x", kind, {"data": data}, event, fields)


def old_x(kind: str, item: dict[str, Any], event: type[Event], /, **fields: Any) -> Sample:
    return Sample("x", kind, {"for_user_id": "7", kind: [item]}, event, fields)


COMMENT = {
    "id": "c1",
    "from": {"id": "900001", "username": "ana"},
    "media": {"id": "m1", "media_product_type": "FEED"},
    "parent_id": "c0",
    "text": "Olá / hi",
}
STORY = {
    "media_id": "m1",
    "exits": -1,
    "replies": 0,
    "reach": 40,
    "taps_forward": 3,
    "taps_back": 2,
    "impressions": 50,
}
PERSON_COMMENT = {
    "comment": {
        "entity": "urn:li:comment:(urn:li:activity:2,3)",
        "owner": "urn:li:person:x",
        "object": "urn:li:activity:2",
        "text": "well done",
    }
}
SHARE = {"share": {"owner": "urn:li:person:x", "text": "look"}}
POST = {
    "id": "1",
    "text": "hi @you",
    "author_id": "8",
    "created_at": "2026-01-01T00:00:00.000Z",
}
FOLLOW = {
    "source": {
        "data": {
            "id": "8",
            "username": "ana",
            "verified": True,
            "profile_image_url": "https://cdn.example.com/8.jpg",
            "public_metrics": {"followers_count": 12},
        }
    },
    "target": {"data": {"id": "7", "username": "me"}},
}
OLD_FOLLOW = {
    "type": "follow",
    "created_timestamp": "1767225600000",
    "source": {"id": "8", "screen_name": "ana", "followers_count": 12},
    "target": {"id": "7"},
}
OLD_POST = {
    "id_str": "1",
    "text": "hi",
    "created_at": "Thu Jan 01 00:00:00 +0000 2026",
    "user": {"id_str": "8", "screen_name": "ana"},
}
PUBLISHED = {"publish_id": "p~1", "publish_type": "DIRECT_PUBLISH"}
SEEN = {**PUBLISHED, "post_id": "77"}
ANA = {"author_id": "8", "author_name": "ana"}

SAMPLES = (
    instagram(
        "comments",
        COMMENT,
        said.CommentReceived,
        comment_id="c1",
        post_id="m1",
        parent_id="c0",
        author_id="900001",
        author_name="ana",
        text="Olá / hi",
        own=False,
    ),
    instagram(
        "live_comments",
        {**COMMENT, "from": {"id": "1", "username": "me", "self_ig_scoped_id": "5"}},
        said.CommentReceived,
        own=True,
    ),
    instagram(
        "mentions",
        {"media_id": "m2", "comment_id": "c2"},
        said.MentionReceived,
        post_id="m2",
        comment_id="c2",
    ),
    instagram(
        "story_insights",
        STORY,
        said.StoryInsightsReceived,
        media_id="m1",
        exits=None,
        replies=0,
        reach=40,
    ),
    tiktok(
        "authorization.removed", {"reason": 4}, said.AuthorizationRevoked, reason="account-banned"
    ),
    tiktok(
        "post.publish.failed",
        {**PUBLISHED, "reason": "spam_risk"},
        said.PublishFailed,
        publish_id="p~1",
        reason="spam_risk",
        publish_type="DIRECT_PUBLISH",
    ),
    tiktok("post.publish.complete", PUBLISHED, said.PublishCompleted, publish_id="p~1"),
    tiktok(
        "post.publish.inbox_delivered", PUBLISHED, said.PublishDeliveredToInbox, publish_id="p~1"
    ),
    tiktok("post.publish.publicly_available", SEEN, said.PostBecamePublic, post_id="77"),
    tiktok(
        "post.publish.no_longer_publicaly_available", SEEN, said.PostBecamePrivate, post_id="77"
    ),
    linkedin(
        "LIKE",
        "urn:li:like:(urn:li:person:x,urn:li:activity:2)",
        {},
        said.ReactionReceived,
        kind="like",
        post_id="urn:li:share:2",
        author_id="urn:li:person:x",
    ),
    linkedin(
        "COMMENT",
        "urn:li:comment:(urn:li:activity:2,3)",
        PERSON_COMMENT,
        said.CommentReceived,
        comment_id="urn:li:comment:(urn:li:activity:2,3)",
        post_id="urn:li:share:2",
        parent_id=None,
        author_id="urn:li:person:x",
        text="well done",
        own=False,
    ),
    linkedin("ADMIN_COMMENT", "urn:li:comment:3", PERSON_COMMENT, said.CommentReceived, own=True),
    linkedin(
        "COMMENT_EDIT", "urn:li:comment:3", PERSON_COMMENT, said.CommentEdited, text="well done"
    ),
    linkedin(
        "COMMENT_DELETE", "urn:li:comment:3", {}, said.CommentDeleted, comment_id="urn:li:comment:3"
    ),
    linkedin(
        "SHARE",
        "urn:li:share:3",
        SHARE,
        said.ReactionReceived,
        kind="share",
        reaction_id="urn:li:share:3",
    ),
    linkedin(
        "SHARE_MENTION",
        "urn:li:share:3",
        SHARE,
        said.MentionReceived,
        post_id="urn:li:share:3",
        text="look",
    ),
    x("post.create", {**POST, "author_id": "7"}, said.PostObserved, post_id="1", text="hi @you"),
    x("post.mention.create", POST, said.MentionReceived, post_id="1", **ANA),
    x(
        "post.reply.create",
        {**POST, "conversation_id": "5", "in_reply_to_tweet_id": "6"},
        said.CommentReceived,
        comment_id="1",
        post_id="5",
        parent_id="6",
        own=False,
        **ANA,
    ),
    x(
        "post.quote.create",
        {**POST, "referenced_tweets": [{"type": "quoted", "id": "6"}]},
        said.ReactionReceived,
        kind="quote",
        post_id="6",
        reaction_id="1",
        **ANA,
    ),
    x(
        "post.repost.create",
        {**POST, "referenced_tweets": [{"type": "retweeted", "id": "6"}]},
        said.ReactionReceived,
        kind="repost",
        post_id="6",
    ),
    x("post.delete", {"id": "1", "author_id": "7"}, said.PostDeleted, post_id="1"),
    x(
        "follow.follow",
        FOLLOW,
        said.FollowerGained,
        user_id="8",
        username="ana",
        verified=True,
        follower_count=12,
        profile_pic_url="https://cdn.example.com/8.jpg",
    ),
    x("follow.unfollow", FOLLOW, said.FollowerLost, user_id="8", username="ana"),
    x(
        "like.create",
        {"id": "f1", "liked_tweet_id": "6", "liked_tweet_author_id": "7", "timestamp_ms": 1},
        said.ReactionReceived,
        kind="like",
        post_id="6",
        reaction_id="f1",
        **ANA,
    ),
    x(
        "oauth.revoke",
        {"date_time": "2026-01-01T00:00:00Z", "user_id": "7", "app_id": "1"},
        said.AuthorizationRevoked,
        reason="revoked-by-user",
    ),
    old_x("tweet_create_events", OLD_POST, said.MentionReceived, post_id="1", **ANA),
    old_x(
        "tweet_create_events",
        {**OLD_POST, "user": {"id_str": "7"}},
        said.PostObserved,
        post_id="1",
    ),
    old_x(
        "tweet_create_events",
        {**OLD_POST, "in_reply_to_status_id_str": "6", "in_reply_to_user_id_str": "7"},
        said.CommentReceived,
        comment_id="1",
        post_id="6",
    ),
    old_x(
        "tweet_create_events",
        {**OLD_POST, "retweeted_status": {"id_str": "6", "user": {"id_str": "7"}}},
        said.ReactionReceived,
        kind="repost",
        post_id="6",
    ),
    old_x("follow_events", OLD_FOLLOW, said.FollowerGained, user_id="8", follower_count=12),
    old_x("follow_events", {**OLD_FOLLOW, "type": "unfollow"}, said.FollowerLost, user_id="8"),
    old_x(
        "tweet_delete_events",
        {"status": {"id": "1", "user_id": "7"}, "timestamp_ms": "1"},
        said.PostDeleted,
        post_id="1",
    ),
)

ACCOUNTS = {
    "instagram": "17841400000000001",
    "tiktok": "open-1",
    "linkedin": "urn:li:organization:1",
    "x": "7",
}
