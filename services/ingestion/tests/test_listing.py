"""The list of events, for members of the workspace."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from libs.testing.identity import People
from services.ingestion.tests.support import (
    Account,
    Running,
    comment,
    instagram,
    query,
    x_follow,
)


async def member(running: Running, workspace: UUID, role: str = "analyst") -> UUID:
    user = uuid4()
    await query(
        running.urls.worker, "INSERT INTO members VALUES (%s, %s, %s)", workspace, user, role
    )
    return user


async def listed(
    running: Running, people: People, account: Account, user: UUID, **query: Any
) -> httpx.Response:
    return await running.http.get(
        f"{running.url}/v1/workspaces/{account.workspace_id}/events",
        params=query,
        headers=people.bearer(user),
    )


@pytest.fixture
async def account(running: Running) -> Account:
    """Three comments a minute apart, then a follow on X a minute later, in one workspace."""
    account = await running.connect("instagram", "1")
    on_x = Account(uuid4(), account.workspace_id, "x", "2")
    await running.connect("x", "2", account=on_x)
    for number in range(3):
        await running.send("instagram", instagram(("1", [comment(number)])))
        running.clock.advance(timedelta(minutes=1))
    await running.send("x", x_follow("2", 1))
    return account


async def test_a_member_sees_what_the_platforms_said_newest_first(
    running: Running, people: People, account: Account
) -> None:
    user = await member(running, account.workspace_id)
    answer = await listed(running, people, account, user)
    assert answer.status_code == 200
    items = answer.json()["items"]
    assert [item["type"] for item in items] == ["follow.follow", *["comments"] * 3]
    assert items[3]["payload"]["value"]["id"] == "c0"
    assert items[3]["social_account_id"] == str(account.id)
    assert items[3]["received_at"].endswith("Z")
    assert answer.json()["next_cursor"] is None


async def test_filters_select(running: Running, people: People, account: Account) -> None:
    user = await member(running, account.workspace_id)
    start = running.clock.now() - timedelta(minutes=3)
    for wanted, expected in (
        ({"type": "comments"}, 3),
        ({"platform": "x"}, 1),
        ({"type": "comments", "platform": "x"}, 0),
        ({"since": (start + timedelta(minutes=1)).isoformat()}, 3),
        ({"until": (start + timedelta(minutes=1)).isoformat()}, 1),
    ):
        answer = await listed(running, people, account, user, **wanted)
        assert len(answer.json()["items"]) == expected, wanted


async def test_pages_neither_skip_nor_repeat_while_more_arrives(
    running: Running, people: People, account: Account
) -> None:
    user = await member(running, account.workspace_id)
    # Many of one moment, so that the page ends between equals.
    await running.send("instagram", instagram(("1", [comment(n) for n in range(10, 30)])))
    seen, cursor = [], ""
    while cursor is not None:
        page = await listed(
            running, people, account, user, limit=3, **({"cursor": cursor} if cursor else {})
        )
        seen += [item["id"] for item in page.json()["items"]]
        cursor = page.json()["next_cursor"]
        running.clock.advance(timedelta(seconds=1))
        await running.send("x", x_follow("2", f"late-{len(seen)}"))
    assert len(seen) == len(set(seen)) == 24


async def test_nobody_else_sees_anything(
    running: Running, people: People, account: Account
) -> None:
    elsewhere = await running.connect("tiktok", "9")
    outsider = await member(running, elsewhere.workspace_id, "owner")
    assert (await listed(running, people, account, outsider)).status_code == 404
    assert (await listed(running, people, elsewhere, outsider)).json()["items"] == []
    url = f"{running.url}/v1/workspaces/{account.workspace_id}/events"
    assert (await running.http.get(url)).status_code == 401


@pytest.mark.parametrize(
    "query",
    [
        {"since": "10000-01-01T00:00:00Z"},
        {"since": "yesterday"},
        {"since": "2026-01-01T00:00:00"},
        {"platform": "myspace"},
        {"limit": 0},
        {"limit": 501},
        {"cursor": "nonsense"},
        {"type": "x" * 65},
        {"type": "a\x00b"},
    ],
)
async def test_bad_input_is_refused_without_an_echo(
    running: Running, people: People, account: Account, query: dict[str, Any]
) -> None:
    user = await member(running, account.workspace_id)
    answer = await listed(running, people, account, user, **query)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    [value] = query.values()
    assert str(value) not in answer.text or str(value).isdigit()
