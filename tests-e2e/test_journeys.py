"""What people, platforms and operators do with Rookery, through the gateway only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any
from uuid import uuid4

import httpx
import pytest

from harness.stack import PLATFORMS, TARGET, Person, Stack, running_stack, until

EVENTS = {
    "instagram": "comments",
    "tiktok": "post.publish.complete",
    "linkedin": "COMMENT",
    "x": "follow.follow",
}
ACTIONS = {
    "instagram": "comment.received",
    "tiktok": "publish.completed",
    "linkedin": "comment.received",
    "x": "follower.gained",
}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running_stack() as stack:
        yield stack


@pytest.fixture(scope="module")
def team(stack: Stack) -> Team:
    """A person with a workspace and an account of each platform."""
    person = stack.person("owner")
    workspace = person.workspace()
    accounts = {name: stack.connect(person, workspace, name) for name in PLATFORMS}
    return Team(stack, person, workspace, accounts)


class Team:
    def __init__(
        self, stack: Stack, person: Person, workspace: str, accounts: dict[str, dict[str, Any]]
    ) -> None:
        self.stack = stack
        self.person = person
        self.workspace = workspace
        self.base = f"/v1/workspaces/{workspace}"
        self.accounts = accounts

    def generate(self, platform: str, count: int = 1, **more: Any) -> list[dict[str, Any]]:
        """Signed webhooks of the platform about our account, not sent."""
        handle = self.accounts[platform]["simulated"]
        asked = {"platform": platform, "handles": [handle], "count": count, **more}
        found: list[dict[str, Any]] = self.stack.control("generate", asked)
        return found

    def send(self, webhook: dict[str, Any], **headers: str) -> httpx.Response:
        return httpx.post(
            self.stack.gateway + webhook["path"],
            content=webhook["body"].encode(),
            headers={**webhook["headers"], **headers},
            timeout=30,
        )

    def events(self, **query: Any) -> list[dict[str, Any]]:
        return self.person.pages(f"{self.base}/events", **query)

    def pushed(self, platform: str) -> list[dict[str, Any]]:
        """Events that came as webhooks."""
        found = self.events(platform=platform)
        return [event for event in found if not event["type"].startswith("poll.")]

    def account(self, platform: str, what: str) -> str:
        return f"{self.base}/accounts/{self.accounts[platform]['id']}/{what}"


def test_a_new_user_connects_an_account_of_each_platform(team: Team) -> None:
    listed = team.person.get(f"{team.base}/accounts")["items"]
    assert {(item["platform"], item["status"]) for item in listed} == {
        (name, "active") for name in PLATFORMS
    }
    assert not any("access_token" in item or "refresh_token" in item for item in listed)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_signed_webhook_shows_in_the_events_and_in_the_trail(team: Team, platform: str) -> None:
    [webhook] = team.generate(platform, event=EVENTS[platform])
    before = {event["id"] for event in team.pushed(platform)}
    assert team.send(webhook).is_success
    new = [event for event in team.pushed(platform) if event["id"] not in before]
    assert [event["type"] for event in new] == [EVENTS[platform]]
    assert new[0]["social_account_id"] == team.accounts[platform]["id"]
    entries = until(
        lambda: [
            entry
            for entry in team.person.pages(f"{team.base}/audit-logs", action=ACTIONS[platform])
            if entry["id"] == new[0]["id"]
        ],
        what="the audit entry",
    )
    assert entries[0]["entity_id"] == team.accounts[platform]["id"]


def test_a_follow_on_x_names_the_follower_in_the_changes(team: Team) -> None:
    webhooks = team.generate("x", event="follow.follow", count=3)
    for webhook in webhooks:
        assert team.send(webhook).is_success
    names = {
        json.loads(webhook["body"])["data"]["payload"]["source"]["data"]["username"]
        for webhook in webhooks
    }

    def seen() -> set[str]:
        found = team.person.pages(team.account("x", "follower-changes"), limit=2)
        return {change["username"] for change in found if change["change_type"] == "new_follower"}

    until(seen, names.issubset, what="the new followers")


@pytest.mark.parametrize("platform", PLATFORMS)
def test_polls_become_charts(team: Team, platform: str) -> None:
    def snapshots() -> list[Any]:
        found = team.person.get(team.account(platform, "metrics"), interval="raw")["items"]
        return [point for point in found if point["followers_count"]]

    [point, *_] = until(snapshots, timeout=60, what="a polled snapshot")
    assert point["followers_count"] > 1_000
    until(
        lambda: team.person.get(team.account(platform, "top-content"))["items"],
        timeout=60,
        what="polled posts",
    )
    if platform in {"instagram", "linkedin"}:

        def audience() -> bool:
            answer = team.person.http.get(team.account(platform, "audience"))
            return answer.is_success and bool(answer.json()["countries"])

        until(audience, timeout=60, what="the audience")
    summary = team.person.get(f"{team.base}/summary")
    assert summary["totals"]["followers_count"]["value"] > 0


def test_ten_deliveries_at_once_and_again_later_are_one_event(team: Team) -> None:
    webhook = team.generate("instagram", event="comments", batch=5, count=1)[0]
    before = len(team.pushed("instagram"))
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: team.send(webhook), range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert team.send(webhook).is_success
    items = len(webhook["items"])
    assert len(team.pushed("instagram")) == before + items


def test_duplicates_and_reordering_by_the_platform_are_told_once(team: Team) -> None:
    before = len(team.pushed("x"))
    handle = team.accounts["x"]["simulated"]
    sent = team.stack.control(
        "emit",
        {
            "platform": "x",
            "handles": [handle],
            "event": "post.mention.create",
            "count": 20,
            "duplicates": 15,
            "shuffle": True,
            "retry": False,
        },
    )
    keys = {item["dedupe"] for report in sent for item in report["items"]}
    assert len(sent) > len(keys)
    until(lambda: len(team.pushed("x")) == before + len(keys), what="each mention once")


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_wrong_signature_is_refused_and_leaves_no_row(team: Team, platform: str) -> None:
    [wrong] = team.generate(platform, event=EVENTS[platform], signature="wrong")
    [missing] = team.generate(platform, event=EVENTS[platform], signature="missing")
    before = team.pushed(platform)
    answers = [team.send(wrong), team.send(missing)]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    assert team.pushed(platform) == before


def test_what_a_webhook_said_before_its_account_is_known_is_released(stack: Stack) -> None:
    handle = f"early_{uuid4().hex[:8]}"
    stack.control("people", {"platform": "x", "handle": handle})
    asked = {"platform": "x", "handles": [handle], "event": "post.mention.create", "count": 2}
    for webhook in stack.control("generate", asked):
        sent = httpx.post(
            stack.gateway + webhook["path"], content=webhook["body"], headers=webhook["headers"]
        )
        assert sent.is_success
    person = stack.person("late")
    workspace = person.workspace()
    until(lambda: person.http.get(f"/v1/workspaces/{workspace}/accounts").is_success)
    stack.control("consent", {"mode": "allow", "as": handle, "platform": "x"})
    url = f"/v1/workspaces/{workspace}/accounts/x/connect"
    authorize = person.http.post(url, json={}).json()["authorize_url"]
    assert httpx.get(authorize, follow_redirects=True, timeout=30).is_success
    stack.control("consent", {"mode": "page", "platform": "x"})

    def released() -> list[Any]:
        found = person.pages(f"/v1/workspaces/{workspace}/events", platform="x")
        return [event for event in found if event["type"] == "post.mention.create"]

    until(lambda: len(released()) == 2, what="the two early mentions")


@pytest.mark.parametrize("platform", ["instagram", "tiktok", "x"])
def test_a_grant_taken_back_at_the_platform_disconnects(stack: Stack, platform: str) -> None:
    person = stack.person("leaver")
    workspace = person.workspace()
    account = stack.connect(person, workspace, platform)
    path = f"/v1/workspaces/{workspace}/accounts/{account['id']}"
    # Ingestion must know the account, or it would hold the notice back until it does.
    events = f"/v1/workspaces/{workspace}/events"
    until(lambda: person.http.get(events).json().get("items"), timeout=60, what="a first poll")
    stack.control("revoke", {"platform": platform, "handle": account["simulated"], "notify": True})
    until(lambda: person.get(path)["status"] == "disconnected", what="the disconnection")
    until(
        lambda: (
            "account.disconnected"
            in {e["action"] for e in person.get(f"/v1/workspaces/{workspace}/audit-logs")["items"]}
        ),
        what="its audit entry",
    )


def test_roles_are_enforced_everywhere_and_removal_takes_effect_at_once(
    stack: Stack, team: Team
) -> None:
    analyst, stranger = stack.person("analyst"), stack.person("stranger")
    members = f"{team.base}/members"
    added = team.person.http.post(members, json={"email": analyst.email, "role": "analyst"})
    assert added.is_success, added.text
    reads = [
        f"{team.base}/accounts",
        f"{team.base}/events",
        f"{team.base}/summary",
        team.account("x", "metrics"),
    ]
    for path in reads:
        until(lambda path=path: analyst.http.get(path).status_code == 200, what=path)
        assert stranger.http.get(path).status_code == 404, path
    assert analyst.http.post(f"{team.base}/accounts/x/connect", json={}).status_code == 403
    trail = f"{team.base}/audit-logs"
    until(lambda: analyst.http.get(trail).status_code == 403, what=trail)
    assert stranger.http.get(trail).status_code == 404
    gone = team.person.http.delete(f"{members}/{analyst.user_id}")
    assert gone.is_success, gone.text
    for path in reads:  # though the token is still good
        until(lambda path=path: analyst.http.get(path).status_code == 404, what=path)


def test_the_trail_says_who_did_it_and_from_where(team: Team) -> None:
    found = until(
        lambda: team.person.get(f"{team.base}/audit-logs", action="account.connected")["items"]
    )
    entry = found[0]
    assert entry["actor_id"] == team.person.user_id
    assert entry["entity_type"] == "account"
    created = team.person.get(f"{team.base}/audit-logs", action="workspace.created")["items"]
    assert created[0]["user_agent"] == "e2e/1"
    if TARGET == "local":
        assert created[0]["ip_address"] == "127.0.0.1"
    else:  # the engine's side of the published port
        assert ip_address(created[0]["ip_address"]).is_private


def test_pages_neither_skip_nor_repeat(team: Team) -> None:
    whole = [event["id"] for event in team.events(limit=500)]
    small = [event["id"] for event in team.events(limit=3)]
    assert small[-len(whole) :] == whole  # polls may have added some in front
    assert len(set(small)) == len(small)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/me", 401),
        ("GET", "/v1/nothing", 401),
        ("GET", "/nothing", 404),
        ("POST", "/internal/backfill", 404),
        ("GET", "/healthz", 404),
        ("GET", "/metrics", 404),
        ("POST", "/webhooks/myspace", 404),
    ],
)
def test_refusals_are_problem_documents(stack: Stack, method: str, path: str, status: int) -> None:
    answer = httpx.request(method, stack.gateway + path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status


def test_a_large_webhook_is_refused_at_the_gate(stack: Stack) -> None:
    answer = httpx.post(stack.gateway + "/webhooks/x", content=b" " * 1_100_000, timeout=30)
    assert answer.status_code == 413


def test_the_demo_shows_ninety_days_of_four_accounts(stack: Stack) -> None:
    demo = stack.demo()
    base = f"/v1/workspaces/{stack.local['demo']['workspace_id']}"
    accounts = demo.get(f"{base}/accounts")["items"]
    assert {account["platform"] for account in accounts} == set(PLATFORMS)
    summary = demo.get(f"{base}/summary")
    since = until(
        lambda: demo.get(f"{base}/summary")["previous_since"], what="the summary's period"
    )
    assert summary["totals"]["followers_count"]["previous"] > 0
    for account in accounts:
        weeks = demo.get(
            f"{base}/accounts/{account['id']}/metrics",
            interval="week",
            since=_days_before(since, 30),
        )["items"]
        assert sum(1 for week in weeks if week["followers_count"]) >= 12
        assert demo.get(f"{base}/accounts/{account['id']}/top-content")["items"]


def _days_before(moment: str, days: int) -> str:
    return (datetime.fromisoformat(moment) - timedelta(days=days)).isoformat()


def test_no_secret_reaches_a_log_an_event_or_the_trail(stack: Stack, team: Team) -> None:
    """Planted: the passwords of this run and the platform's tokens; looked for everywhere."""
    canaries = {
        team.person.password,
        team.person.http.headers["authorization"].removeprefix("Bearer "),
        *stack.local["webhook_secrets"].values(),
    }
    found = {f"the database {name}": stack.inside.dump(name) for name in stack.local["services"]}
    assert team.person.email in found["the database identity"]
    found["the topics"] = stack.inside.messages()
    assert team.workspace in found["the topics"]
    found |= stack.inside.logs()
    assert any("ingestion" in name and text for name, text in stack.inside.logs().items())
    for name, text in found.items():
        assert not any(canary in text for canary in canaries), f"a secret in {name}"
