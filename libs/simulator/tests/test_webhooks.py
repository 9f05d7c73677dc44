"""What the platforms send: signed, batched, doubled, shuffled, damaged, and sent again."""

import base64
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import parse_qs

import pytest

from libs.simulator.emitting import SOURCES
from libs.simulator.tests.conftest import Stands
from libs.simulator.tests.support import Stand, until
from libs.simulator.wire import PLATFORMS, Platform

each = pytest.mark.parametrize("platform", PLATFORMS)
HEADERS = {
    "instagram": "x-hub-signature-256",
    "tiktok": "tiktok-signature",
    "linkedin": "x-li-signature",
    "x": "x-twitter-webhooks-signature",
}
EVENTS = [(name, event) for name in PLATFORMS for event in SOURCES[name].EVENTS]


def proven(platform: Platform, headers: dict[str, str], body: bytes) -> bool:
    """Whether the signature is right, computed apart from the simulator's own code."""
    shown = headers[HEADERS[platform]]
    if platform == "tiktok":
        stamp, _, signature = shown.partition(",")
        message, key = stamp.removeprefix("t=").encode() + b"." + body, b"tt-client-secret"
        return signature == "s=" + hmac.new(key, message, hashlib.sha256).hexdigest()
    if platform == "linkedin":
        message = b"hmacsha256=" + body
        return shown == hmac.new(b"li-client-secret", message, hashlib.sha256).hexdigest()
    if platform == "x":
        digest = hmac.new(b"x-consumer-secret", body, hashlib.sha256).digest()
        return shown == "sha256=" + base64.b64encode(digest).decode()
    return shown == "sha256=" + hmac.new(b"ig-app-secret", body, hashlib.sha256).hexdigest()


@each
async def test_a_believable_mixture_arrives_signed(stand: Stand, platform: Platform) -> None:
    sent = await stand.control("emit", platform=platform, count=30, batch=7)
    assert {one["status"] for one in sent} == {200}
    assert len(stand.receiver.got) == len(sent)
    for path, headers, body in stand.receiver.got:
        assert path == f"/webhooks/{platform}"
        assert headers["content-type"] == "application/json"
        assert proven(platform, headers, body)
    items = [item for one in sent for item in one["items"]]
    assert len({item["dedupe"] for item in items}) == 30


@pytest.mark.parametrize(("platform", "event"), EVENTS)
async def test_every_event_can_be_sent(stand: Stand, platform: Platform, event: str) -> None:
    sent = await stand.control("emit", platform=platform, event=event)
    assert sent[0]["status"] == 200
    assert sent[0]["items"][0]["event"] == event
    odd = ("deauthorize", "data_deletion", "own_comment")
    assert event in odd or event.partition("_")[0] in sent[0]["body"]


@each
async def test_a_wrong_signature_is_wrong_and_a_missing_one_missing(
    stand: Stand, platform: Platform
) -> None:
    await stand.control("emit", platform=platform, signature="wrong")
    _, headers, body = stand.receiver.got[-1]
    assert not proven(platform, headers, body)
    await stand.control("emit", platform=platform, signature="missing")
    assert HEADERS[platform] not in stand.receiver.got[-1][1]


@each
async def test_duplicates_are_the_same_bytes_and_shuffling_changes_the_order(
    stand: Stand, platform: Platform
) -> None:
    sent = await stand.control("emit", platform=platform, count=10, duplicates=2, shuffle=True)
    bodies = [one["body"] for one in sent]
    assert len(bodies) == 30
    assert all(bodies.count(body) == 3 for body in set(bodies))
    assert bodies != sorted(bodies, key=bodies.index) or len(set(bodies)) == 10
    assert any(bodies[i] != bodies[i + 1] for i in range(0, 30, 3))


async def test_generating_sends_nothing_and_moves_nothing(stand: Stand) -> None:
    before = (await stand.http.get("/_control/people")).json()
    made = await stand.control("generate", platform="x", event="follow.follow", count=50)
    assert len(made) == 50
    assert {one["status"] for one in made} == {None}
    assert proven("x", made[0]["headers"], made[0]["body"].encode())
    assert stand.receiver.got == []
    assert (await stand.http.get("/_control/people")).json() == before


async def test_what_was_sent_shows_in_the_numbers(stand: Stand) -> None:
    async def followers() -> int:
        return int((await stand.person("x"))["followers_now"])

    before = await followers()
    await stand.control("emit", platform="x", event="follow.follow", count=5)
    await stand.control("emit", platform="x", event="follow.unfollow", count=2)
    assert await followers() == before + 3


async def test_instagram_batches_fields_and_accounts_and_escapes_like_meta(stand: Stand) -> None:
    for handle in ("one", "two"):
        await stand.person("instagram", handle)
    handles = ["one", "two"]
    await stand.control("emit", platform="instagram", count=200, batch=100, handles=handles)
    assert len(stand.receiver.got) == 2
    body = stand.receiver.got[0][2]
    assert body.isascii()
    assert b"\\u" in body
    assert b"\\/" in body
    document = json.loads(body)
    assert len({entry["id"] for entry in document["entry"]}) == 2
    changes = [change for entry in document["entry"] for change in entry["changes"]]
    assert len(changes) == 100
    assert {change["field"] for change in changes} == {"comments", "mentions"}


async def test_instagram_never_packs_more_than_a_thousand_and_linkedin_ten(stand: Stand) -> None:
    made = await stand.control("generate", platform="instagram", count=2500, batch=1000)
    assert [len(one["items"]) for one in made] == [1000, 1000, 500]
    made = await stand.control("generate", platform="linkedin", count=25, batch=1000)
    assert [len(one["items"]) for one in made] == [10, 10, 5]


async def test_instagram_has_the_odd_forms_of_a_comment(stand: Stand) -> None:
    async def first(event: str) -> dict[str, Any]:
        made = await stand.control("generate", platform="instagram", event=event)
        entry: dict[str, Any] = json.loads(made[0]["body"])["entry"][0]
        return entry

    assert (await first("comments_flat"))["field"] == "comments"
    odd = (await first("comments_comment_id"))["changes"][0]["value"]
    assert "comment_id" in odd
    assert "id" not in odd
    own = (await first("own_comment"))["changes"][0]["value"]
    assert "self_ig_scoped_id" in own["from"]


@pytest.mark.parametrize(
    ("event", "path"), [("deauthorize", "deauthorize"), ("data_deletion", "data-deletion")]
)
async def test_instagram_posts_a_signed_request_as_a_form(
    stand: Stand, event: str, path: str
) -> None:
    person = await stand.person("instagram")
    await stand.control("emit", platform="instagram", event=event)
    got, headers, body = stand.receiver.got[0]
    assert got == f"/webhooks/instagram/{path}"
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    signature, _, payload = parse_qs(body.decode())["signed_request"][0].partition(".")
    digest = hmac.new(b"ig-app-secret", payload.encode(), hashlib.sha256).digest()
    assert signature == base64.urlsafe_b64encode(digest).decode().rstrip("=")
    decoded = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert decoded["user_id"] == person["member_id"]


async def test_tiktok_puts_json_into_json(stand: Stand) -> None:
    made = await stand.control(
        "generate", platform="tiktok", event="post.publish.publicly_available"
    )
    document = json.loads(made[0]["body"])
    assert document["client_key"] == "ck_test"
    content = json.loads(document["content"])
    assert set(content) == {"publish_id", "publish_type", "post_id"}


async def test_events_may_be_days_old_but_are_signed_now(stand: Stand) -> None:
    made = await stand.control("generate", platform="tiktok", age=7 * 86400)
    now = int(stand.clock.now().timestamp())
    assert json.loads(made[0]["body"])["create_time"] == now - 7 * 86400
    assert made[0]["headers"]["tiktok-signature"].startswith(f"t={now},")


async def test_events_are_about_connected_accounts_once_there_are_any(stand: Stand) -> None:
    await stand.person("x", "other")
    made = await stand.control("generate", platform="x", count=40)
    assert {item["handle"] for one in made for item in one["items"]} == {"other", "rookery_demo"}
    await stand.connect("x", "other")
    made = await stand.control("generate", platform="x", count=40)
    assert {item["handle"] for one in made for item in one["items"]} == {"other"}


@pytest.mark.parametrize(
    "body",
    [
        {"platform": "x", "event": "comments"},
        {"platform": "x", "handles": ["nobody"]},
        {"platform": "myspace"},
        {"platform": "x", "surprise": 1},
    ],
)
async def test_the_control_api_is_strict_too(stand: Stand, body: dict[str, Any]) -> None:
    answer = await stand.http.post("/_control/emit", json=body)
    assert answer.status_code == 422


@pytest.mark.parametrize("platform", ["instagram", "tiktok", "linkedin"])
async def test_refused_webhooks_are_sent_again_until_they_are_taken(
    stand: Stand, platform: Platform
) -> None:
    stand.receiver.statuses = [503, 500, 404]
    sent = await stand.control("emit", platform=platform)
    assert sent[0]["status"] == 503
    await until(lambda: len(stand.receiver.got) == 4)
    assert len({body for _, _, body in stand.receiver.got}) == 1
    state = (await stand.http.get("/_control/state")).json()
    assert state["waiting_for_redelivery"] == 0


async def test_x_does_not_try_again(stand: Stand) -> None:
    stand.receiver.statuses = [503]
    await stand.control("emit", platform="x")
    assert (await stand.http.get("/_control/state")).json()["waiting_for_redelivery"] == 0
    assert len(stand.receiver.got) == 1


async def test_linkedin_takes_any_2xx_and_instagram_only_200(stand: Stand) -> None:
    stand.receiver.statuses = [204]
    await stand.control("emit", platform="linkedin")
    assert len(stand.receiver.got) == 1
    stand.receiver.statuses = [204]
    await stand.control("emit", platform="instagram")
    await until(lambda: len(stand.receiver.got) == 3)


async def test_a_silent_receiver_is_reported_not_raised(stands: Stands) -> None:
    async with stands(webhook_target="http://127.0.0.1:9") as stand:
        sent = await stand.control("emit", platform="x")
        assert sent[0]["status"] is None
        log = (await stand.http.get("/_control/log")).json()["sent"]
        assert log[0]["error"] == "ConnectError"


@pytest.mark.parametrize(
    ("platform", "event"),
    [
        ("instagram", "signed_request"),
        ("tiktok", "authorization.removed"),
        ("x", "oauth.revoke"),
        ("linkedin", None),
    ],
)
async def test_a_revocation_is_told_where_the_platform_tells_it(
    stand: Stand, platform: Platform, event: str | None
) -> None:
    handle = (await stand.person(platform))["handle"]
    await stand.connect(platform)
    await stand.control("revoke", platform=platform, handle=handle, notify=False)
    assert stand.receiver.got == []
    await stand.control("revoke", platform=platform, handle=handle)
    bodies = [body for _, _, body in stand.receiver.got]
    assert len(bodies) == (0 if event is None else 1)
    assert event is None or event.encode() in bodies[0]


@pytest.mark.parametrize("platform", ["instagram", "linkedin", "x"])
async def test_the_handshake_passes_an_honest_receiver_and_fails_another(
    stand: Stand, platform: Platform
) -> None:
    passed = await stand.control("handshake", platform=platform)
    assert passed == {"passed": True, "why": None, "status": 200}
    stand.receiver.honest = False
    failed = await stand.control("handshake", platform=platform)
    assert failed["passed"] is False
    assert failed["why"]


async def test_tiktok_has_no_handshake(stand: Stand) -> None:
    assert (await stand.control("handshake", platform="tiktok"))["passed"] is None


async def test_ambient_webhooks_concern_connected_accounts(stands: Stands) -> None:
    async with stands(drip=0.01) as stand:
        await stand.connect("linkedin")
        await until(lambda: len(stand.receiver.got) >= 3)
        assert {path for path, _, _ in stand.receiver.got} == {"/webhooks/linkedin"}


async def test_ambient_webhooks_can_be_held_to_subscriptions(stands: Stands) -> None:
    async with stands(drip=0.01, require_subscription=True) as stand:
        await stand.connect("instagram")
        await stand.connect("tiktok")
        await until(lambda: len(stand.receiver.got) >= 5)
        assert {path for path, _, _ in stand.receiver.got} == {"/webhooks/tiktok"}
