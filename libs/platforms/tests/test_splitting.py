"""Batches become single changes, each with a key that finds its duplicates."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest

from libs.contracts.accounts import PlatformName
from libs.contracts.ingestion import AuthorizationRevoked, DataDeletionRequested
from libs.platforms.base import Change
from libs.platforms.instagram import Instagram
from libs.platforms.registry import REAL_ENDPOINTS
from libs.platforms.tests.support import credentials, platforms, raw
from libs.platforms.tests.vectors import SIGNED_REQUEST, VECTORS
from libs.platforms.tests.webhook_samples import SAMPLES


def split(name: PlatformName, document: dict[str, Any]) -> list[Change]:
    return platforms()[name].split(document)


def instagram_comment(number: str, account: str = "1", text: str = "hi") -> dict[str, Any]:
    change = {"field": "comments", "value": {"id": number, "text": text}}
    return {"id": account, "time": 1767225600, "changes": [change]}


def instagram(*entries: Any) -> dict[str, Any]:
    return {"object": "instagram", "entry": list(entries)}


def linkedin(*notifications: Any) -> dict[str, Any]:
    return {
        "type": "ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS",
        "notifications": list(notifications),
    }


def test_every_sample_of_every_platform_has_a_key_of_its_own() -> None:
    # The samples of X share one event_uuid, because only the event differs between them.
    keys = [
        (sample.platform, change.key)
        for sample in SAMPLES
        if sample.platform in {"instagram", "tiktok"}
        for change in split(sample.platform, sample.document)
    ]
    assert len(set(keys)) == len(keys)


def test_instagram_splits_entries_times_changes_in_their_order() -> None:
    entries = [instagram_comment(str(n), account=str(n % 3)) for n in range(1000)]
    entries[0]["changes"].append({"field": "mentions", "value": {"media_id": "m"}})
    changes = split("instagram", instagram(*entries))
    assert len(changes) == 1001
    assert [change.type for change in changes[:3]] == ["comments", "mentions", "comments"]
    assert changes[3].platform_user_id == "2"
    assert len({change.key for change in changes}) == 1001


def test_the_payload_keeps_the_values_and_the_surroundings_as_they_came() -> None:
    document = orjson.loads(VECTORS[0].body)
    (change,) = split("instagram", document)
    assert change.payload == {
        "entry_id": "17841400000000001",
        "time": 1767225600,
        "field": "comments",
        "value": document["entry"][0]["changes"][0]["value"],
    }


@pytest.mark.parametrize("seed", range(5))
def test_reordering_and_duplication_change_no_key(seed: int) -> None:
    entries = [instagram_comment(str(n)) for n in range(50)]
    shuffled = entries * 3
    random.Random(seed).shuffle(shuffled)
    keys = {change.key for change in split("instagram", instagram(*entries))}
    assert {change.key for change in split("instagram", instagram(*shuffled))} == keys
    assert len(keys) == 50


def test_the_same_id_with_another_text_or_time_has_the_same_key() -> None:
    later = {**instagram_comment("1", text="changed"), "time": 1767300000}
    first, second = split("instagram", instagram(instagram_comment("1"), later))
    assert first.key == second.key


def test_instagram_tolerates_comment_id_and_an_entry_without_changes() -> None:
    flat = {"id": "1", "time": 1, "field": "comments", "value": {"comment_id": "c9"}}
    with_id = {"id": "1", "time": 1, "field": "comments", "value": {"id": "c9"}}
    first, second = split("instagram", instagram(flat, with_id))
    assert first.key == second.key
    assert first.payload["value"] == {"comment_id": "c9"}


def test_a_caption_mention_and_a_comment_mention_of_one_post_differ() -> None:
    changes = [{"field": "mentions", "value": {"media_id": "m"}}]
    changes.append({"field": "mentions", "value": {"media_id": "m", "comment_id": "c"}})
    first, second = split("instagram", instagram({"id": "1", "time": 1, "changes": changes}))
    assert first.key != second.key


def test_a_field_nobody_knows_is_kept_and_told_apart_by_its_value() -> None:
    changes = [{"field": "novelty", "value": {"n": n, "m": 1}} for n in (1, 2)]
    changes.append({"field": "novelty", "value": {"m": 1, "n": 1}})
    first, second, third = split("instagram", instagram({"id": "1", "changes": changes}))
    assert first.type == "novelty"
    assert first.key == third.key != second.key


@pytest.mark.parametrize(
    "bad",
    [
        None,
        5,
        {},
        {"id": "1", "changes": 3},
        {"id": "1", "changes": [7]},
        {"id": None, "changes": [{"field": "comments", "value": {}}]},
        {"id": "1", "changes": [{"field": "f" * 65, "value": {}}]},
    ],
)
def test_one_unreadable_item_does_not_hold_up_the_rest_of_the_batch(bad: Any) -> None:
    changes = split("instagram", instagram(instagram_comment("1"), bad, instagram_comment("2")))
    assert [change.platform_user_id for change in changes] == ["1", None, "1"]


def test_linkedin_keys_by_notification_id() -> None:
    one = {"notificationId": 101, "action": "LIKE", "organizationalEntity": "urn:li:organization:1"}
    again = {**one, "lastModifiedAt": 5}
    other = {**one, "notificationId": 102}
    first, second, third, bad = split("linkedin", linkedin(one, again, other, "?"))
    assert first.key == second.key != third.key
    assert bad.platform_user_id is None


def test_a_linkedin_notification_without_its_organisation_belongs_to_nobody() -> None:
    (change,) = split("linkedin", orjson.loads(VECTORS[2].body))
    assert (change.platform_user_id, change.type) == (None, "COMMENT")


def test_tiktok_keys_by_event_user_publish_post_and_time() -> None:
    document = orjson.loads(VECTORS[1].body)
    (change,) = split("tiktok", document)
    assert change.key == (
        "post.publish.complete",
        "open-1",
        "v_pub_url~v2.1",
        "",
        "1767225600",
    )
    assert change.payload == document


@pytest.mark.parametrize("content", ["", "not json", "[]", "5", None, {"publish_id": "x"}])
def test_tiktok_content_that_is_no_object_is_kept_all_the_same(content: Any) -> None:
    document = {**orjson.loads(VECTORS[1].body), "content": content}
    (change,) = split("tiktok", document)
    assert change.platform_user_id == "open-1"
    assert change.payload["content"] == content


def test_tiktok_content_nested_without_end_is_kept_all_the_same() -> None:
    document = {**orjson.loads(VECTORS[1].body), "content": "[" * 200_000}
    assert len(split("tiktok", document)) == 1


def test_x_keys_by_event_uuid_even_a_negative_one() -> None:
    (change,) = split("x", orjson.loads(VECTORS[3].body))
    assert change.key == ("event", "-42")
    assert change.platform_user_id == "2244994945"


def test_a_revocation_at_x_belongs_to_the_person_of_its_payload() -> None:
    data = {"event_uuid": "1", "filter": {}, "event_type": "oauth.revoke"}
    (change,) = split("x", {"data": {**data, "payload": {"user_id": "7"}}})
    assert change.platform_user_id == "7"


@pytest.mark.parametrize(
    "document",
    [
        {"replay_job_status": {"webhook_id": "1", "job_state": "Complete", "job_id": "9"}},
        {
            "data": {
                "event_uuid": "5",
                "filter": {},
                "event_type": "replay_job_status",
                "payload": {"job_id": "9", "job_state": "Complete"},
            }
        },
    ],
)
def test_the_end_of_a_replay_belongs_to_no_account(document: dict[str, Any]) -> None:
    (change,) = split("x", document)
    assert change.platform_user_id is None
    assert change.key == ("replay_job_status", "9")
    event = platforms()["x"].translate(raw("x", change.type, change.payload))
    assert (getattr(event, "job_id", None), getattr(event, "state", None)) == ("9", "Complete")


def test_the_predecessor_of_xs_api_sends_lists_for_one_account() -> None:
    posts = [{"id_str": str(n)} for n in range(3)]
    changes = split("x", {"for_user_id": "7", "tweet_create_events": posts + posts})
    assert {change.platform_user_id for change in changes} == {"7"}
    assert len({change.key for change in changes}) == 3


def test_a_revocation_of_the_predecessor_belongs_to_its_source() -> None:
    revoke = {"date_time": "…", "target": {"app_id": "1"}, "source": {"user_id": "7"}}
    (change,) = split("x", {"user_event": {"revoke": revoke}})
    assert change.platform_user_id == "7"
    event = platforms()["x"].translate(raw("x", change.type, change.payload))
    assert isinstance(event, AuthorizationRevoked)


def test_instagrams_callbacks_translate() -> None:
    platform = Instagram(credentials("instagram"), REAL_ENDPOINTS["instagram"])
    gone = platform.deauthorisation(SIGNED_REQUEST)
    event = platform.translate(raw("instagram", gone.type, gone.payload))
    assert isinstance(event, AuthorizationRevoked)
    wish = platform.data_deletion(SIGNED_REQUEST)
    event = platform.translate(raw("instagram", wish.type, wish.payload))
    assert isinstance(event, DataDeletionRequested)
    assert event.confirmation_code == wish.payload["confirmation_code"]
    assert event.occurred_at.isoformat() == "2026-01-01T00:00:00+00:00"
