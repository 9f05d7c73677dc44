"""What the events of each platform mean where a sample alone does not show it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from libs.contracts.accounts import PlatformName
from libs.contracts.event import Event
from libs.contracts.ingestion import (
    AuthorizationRevoked,
    CommentReceived,
    PublishFailed,
)
from libs.platforms.base import Untranslatable
from libs.platforms.tests.support import RECEIVED, platforms, raw
from libs.platforms.tests.webhook_samples import FOLLOW


def translate(name: PlatformName, kind: str, payload: dict[str, Any]) -> Event | None:
    return platforms()[name].translate(raw(name, kind, payload))


def test_the_platforms_time_is_the_events_time() -> None:
    event = translate(
        "instagram", "comments", {"time": 1767225600, "entry_id": "1", "value": {"id": "c"}}
    )
    assert isinstance(event, CommentReceived)
    assert event.occurred_at == datetime(2026, 1, 1, tzinfo=UTC)


def test_without_the_platforms_time_the_time_of_receipt_stands_in() -> None:
    event = translate("instagram", "comments", {"entry_id": "1", "value": {"id": "c"}})
    assert isinstance(event, CommentReceived)
    assert event.occurred_at == RECEIVED


def test_milliseconds_are_told_from_seconds() -> None:
    event = translate("instagram", "comments", {"time": 1767225600123, "value": {"id": "c"}})
    assert isinstance(event, CommentReceived)
    assert event.occurred_at == datetime(2026, 1, 1, 0, 0, 0, 123000, tzinfo=UTC)


@pytest.mark.parametrize("time", [10**30, -1, "soon", True, 1.5])
def test_a_time_that_is_none_is_untranslatable(time: Any) -> None:
    with pytest.raises(Untranslatable):
        translate("instagram", "comments", {"time": time, "value": {"id": "c"}})


def test_the_text_of_untranslatable_holds_no_value_of_the_payload() -> None:
    with pytest.raises(Untranslatable) as refused:
        translate("instagram", "comments", {"value": {"text": "a secret"}})
    assert "comment_id" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_comment_by_the_account_itself_is_own() -> None:
    value = {"id": "c", "from": {"id": "1", "username": "me"}}
    event = translate("instagram", "comments", {"entry_id": "1", "value": value})
    assert isinstance(event, CommentReceived)
    assert event.own


@pytest.mark.parametrize(
    ("reason", "slug"),
    [
        (0, "unknown"),
        (1, "revoked-by-user"),
        (2, "account-deleted"),
        (3, "age-restricted"),
        (4, "account-banned"),
        (5, "revoked-by-developer"),
        (99, "unknown"),
        (None, "unknown"),
    ],
)
def test_tiktoks_reasons_of_a_revocation_have_slugs(reason: int | None, slug: str) -> None:
    content = orjson.dumps({"reason": reason}).decode()
    event = translate("tiktok", "authorization.removed", {"content": content})
    assert isinstance(event, AuthorizationRevoked)
    assert event.reason == slug


@pytest.mark.parametrize("name", ["reason", "fail_reason"])
def test_both_names_of_tiktoks_reason_for_failure_are_read(name: str) -> None:
    content = orjson.dumps({"publish_id": "p", name: "spam_risk"}).decode()
    event = translate("tiktok", "post.publish.failed", {"content": content})
    assert isinstance(event, PublishFailed)
    assert event.reason == "spam_risk"


def test_an_int64_post_id_of_tiktok_becomes_text() -> None:
    content = '{"publish_id":"p","post_id":7512345678901234567}'
    event = translate("tiktok", "post.publish.publicly_available", {"content": content})
    assert getattr(event, "post_id", None) == "7512345678901234567"


def test_following_someone_and_liking_others_posts_says_nothing_of_the_account() -> None:
    payload = {"filter": {"user_id": "8"}, "payload": FOLLOW}
    assert translate("x", "follow.follow", payload) is None
    like = {"id": "1", "liked_tweet_id": "2", "liked_tweet_author_id": "9"}
    assert translate("x", "like.create", {"filter": {"user_id": "7"}, "payload": like}) is None
    written = {"id": "1", "author_id": "9"}
    assert translate("x", "post.create", {"filter": {"user_id": "7"}, "payload": written}) is None


def test_a_follower_without_a_name_is_not_invented() -> None:
    payload = {"filter": {"user_id": "7"}, "payload": {"source": {"data": {"id": "8"}}}}
    with pytest.raises(Untranslatable):
        translate("x", "follow.follow", payload)
