"""Webhooks managed through the platforms' own endpoints: X's and LinkedIn's."""

import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from libs.simulator.tests.conftest import Stands
from libs.simulator.tests.support import LI_HEADERS, Stand, bearing, until

APP = bearing("x-app-bearer")
X = "/x-api/2"


async def registered(stand: Stand) -> str:
    url = f"{stand.receiver.url}/webhooks/x"
    answer = await stand.http.post(f"{X}/webhooks", json={"url": url}, headers=APP)
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["valid"] is True
    found: str = answer.json()["data"]["id"]
    return found


async def x_post(stand: Stand, path: str, body: dict[str, Any]) -> httpx.Response:
    return await stand.http.post(f"{X}/{path}", json=body, headers=APP)


async def test_x_registers_a_webhook_after_its_crc_check(stand: Stand) -> None:
    hook = await registered(stand)
    listed = (await stand.http.get(f"{X}/webhooks", headers=APP)).json()
    assert [one["id"] for one in listed["data"]] == [hook]
    gone = await stand.http.delete(f"{X}/webhooks/{hook}", headers=APP)
    assert gone.json() == {"data": {"deleted": True}}
    assert (await stand.http.delete(f"{X}/webhooks/{hook}", headers=APP)).status_code == 404


async def test_x_names_what_is_wrong_with_a_webhook(stand: Stand) -> None:
    url = f"{stand.receiver.url}/webhooks/x"
    stand.receiver.honest = False
    failed = await x_post(stand, "webhooks", {"url": url})
    assert failed.json()["title"] == "CrcValidationFailed"
    stand.receiver.honest = True
    outside = await x_post(stand, "webhooks", {"url": "https://example.com/hook"})
    assert outside.json()["title"] == "UrlValidationFailed"
    await registered(stand)
    twice = await x_post(stand, "webhooks", {"url": url})
    assert twice.json()["title"] == "DuplicateUrlFailed"
    for number in range(4):
        await x_post(stand, "webhooks", {"url": f"{url}?n={number}"})
    more = await x_post(stand, "webhooks", {"url": f"{url}?n=5"})
    assert more.json()["title"] == "WebhookLimitExceeded"


async def test_x_manages_webhooks_for_the_application_only(stand: Stand) -> None:
    token = (await stand.connect("x"))["access_token"]
    for headers in ({}, bearing(token)):
        assert (await stand.http.get(f"{X}/webhooks", headers=headers)).status_code == 401


async def test_x_subscriptions_to_private_events_need_the_users_grant(stand: Stand) -> None:
    hook = await registered(stand)
    me = (await stand.person("x"))["account_id"]
    wanted = {"event_type": "follow.follow", "filter": {"user_id": me}, "webhook_id": hook}
    assert (await x_post(stand, "activity/subscriptions", wanted)).status_code == 403
    await stand.connect("x")
    made = await x_post(stand, "activity/subscriptions", wanted)
    number = made.json()["data"]["subscription_id"]
    listed = (await stand.http.get(f"{X}/activity/subscriptions", headers=APP)).json()
    assert [one["subscription_id"] for one in listed["data"]] == [number]
    path = f"{X}/activity/subscriptions/{number}"
    assert (await stand.http.delete(path, headers=APP)).status_code == 200
    assert (await stand.http.delete(path, headers=APP)).status_code == 404


@pytest.mark.parametrize(
    "change",
    [
        {"event_type": "post.explode"},
        {"event_type": ["post.create"]},
        {"filter": {}},
        {"filter": {"user_id": "1", "more": "2"}},
        {"event_type": "oauth.revoke"},
        {"webhook_id": "404"},
        {"surprise": 1},
    ],
)
async def test_x_subscriptions_that_are_not_right_are_refused(
    stand: Stand, change: dict[str, Any]
) -> None:
    hook = await registered(stand)
    me = (await stand.person("x"))["account_id"]
    wanted = {"event_type": "post.create", "filter": {"user_id": me}, "webhook_id": hook}
    refused = await x_post(stand, "activity/subscriptions", {**wanted, **change})
    assert refused.status_code in (400, 404)


async def test_x_replays_what_it_had_to_deliver_and_says_when_it_is_done(stand: Stand) -> None:
    hook = await registered(stand)
    stand.receiver.statuses = [503] * 3
    await stand.control("emit", platform="x", count=3)
    lost = {body for _, _, body in stand.receiver.got}
    stand.receiver.got.clear()
    window = {"from_date": "202603021155", "to_date": "202603021201"}
    early = await x_post(stand, "webhooks/replay", {"webhook_id": hook, **window})
    assert early.status_code == 400
    stand.clock.advance(minutes=15)
    await x_post(stand, "webhooks/replay", {"webhook_id": hook, **window})
    await until(lambda: len(stand.receiver.got) == 4)
    assert {body for _, _, body in stand.receiver.got[:3]} == lost
    last = json.loads(stand.receiver.got[3][2])
    assert last["data"]["event_type"] == "replay_job_status"


async def test_x_stops_at_a_wrong_crc_answer_and_goes_on_after_revalidation(
    stands: Stands,
) -> None:
    async with stands(crc_interval=0.01) as stand:
        hook = await registered(stand)
        stand.receiver.honest = False
        await stand.muted("x")
        sent = await stand.control("emit", platform="x")
        assert sent[0]["status"] is None
        assert stand.receiver.got == []
        failed = await stand.http.put(f"{X}/webhooks/{hook}", headers=APP)
        assert failed.status_code == 400
        stand.receiver.honest = True
        again = await stand.http.put(f"{X}/webhooks/{hook}", headers=APP)
        assert again.json() == {"data": {"valid": True}}
        assert (await stand.control("emit", platform="x"))[0]["status"] == 200


class Page:
    """A connected LinkedIn page and its subscription resource."""

    def __init__(self, stand: Stand, person: dict[str, Any], token: str) -> None:
        self.stand = stand
        self.person = person
        self.headers = {**LI_HEADERS, **bearing(token)}

    def path(self, **change: str) -> str:
        parts = {
            "developerApplication": "urn:li:developerApplication:77",
            "user": f"urn:li:person:{self.person['member_id']}",
            "entity": f"urn:li:organization:{self.person['account_id']}",
            "eventType": "ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS",
            **change,
        }
        key = ",".join(f"{name}:{quote(value, safe='')}" for name, value in parts.items())
        return f"/linkedin-api/rest/eventSubscriptions/({key})"

    async def subscribe(self, **change: str) -> httpx.Response:
        body = {"webhook": f"{self.stand.receiver.url}/webhooks/linkedin"}
        return await self.stand.http.put(self.path(**change), json=body, headers=self.headers)


@pytest.fixture
async def page(stand: Stand) -> Page:
    person = await stand.person("linkedin")
    return Page(stand, person, (await stand.connect("linkedin"))["access_token"])


async def test_linkedin_subscribes_after_its_challenge_until_the_subscription_expires(
    page: Page,
) -> None:
    assert (await page.subscribe()).status_code == 204
    found = (await page.stand.http.get(page.path(), headers=page.headers)).json()
    assert found["webhook"].endswith("/webhooks/linkedin")
    assert found["expiresAt"] > page.stand.clock.now().timestamp() * 1000
    gone = await page.stand.http.delete(page.path(), headers=page.headers)
    assert gone.status_code == 204
    absent = await page.stand.http.get(page.path(), headers=page.headers)
    assert absent.status_code == 404


async def test_linkedin_refuses_a_receiver_that_fails_the_challenge(page: Page) -> None:
    page.stand.receiver.honest = False
    assert (await page.subscribe()).json()["code"] == "WEBHOOK_VALIDATION_FAILED"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"user": "urn:li:person:somebody"}, 403),
        ({"entity": "urn:li:organization:1"}, 403),
        ({"entity": "urn:li:person:1"}, 400),
        ({"eventType": "EVERYTHING"}, 400),
        ({"developerApplication": "77"}, 400),
    ],
)
async def test_linkedin_refuses_a_subscription_of_others(
    page: Page, change: dict[str, str], status: int
) -> None:
    assert (await page.subscribe(**change)).status_code == status


async def test_linkedin_gives_what_was_sent_as_a_backfill(page: Page) -> None:
    sent = await page.stand.control("emit", platform="linkedin", count=3, batch=3)
    urn = quote(f"urn:li:organization:{page.person['account_id']}", safe="")
    answer = await page.stand.http.get(
        "/linkedin-api/rest/organizationalEntityNotifications?q=criteria"
        f"&organizationalEntity={urn}",
        headers=page.headers,
    )
    found = {str(one["notificationId"]) for one in answer.json()["elements"]}
    assert found == {item["dedupe"] for item in sent[0]["items"]}


async def test_linkedin_blocks_a_receiver_after_three_failed_challenges(stands: Stands) -> None:
    async with stands(challenge_interval=0.01) as stand:
        person = await stand.person("linkedin")
        page = Page(stand, person, (await stand.connect("linkedin"))["access_token"])
        await page.subscribe()
        stand.receiver.honest = False
        await stand.muted("linkedin")
        sent = await stand.control("emit", platform="linkedin")
        assert sent[0]["status"] is None
        stand.receiver.honest = True
        assert (await stand.control("handshake", platform="linkedin"))["passed"] is True
        assert (await stand.control("emit", platform="linkedin"))[0]["status"] == 200
