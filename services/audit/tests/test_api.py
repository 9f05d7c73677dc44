"""The trail over real HTTP, for owners."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.chassis.members import apply as apply_members
from libs.chassis.provision import ServiceUrls
from libs.contracts.identity import MemberAdded, Role
from libs.messaging.config import BrokerConfig
from libs.testing.identity import People, service_settings
from libs.testing.serving import serve
from services.audit.settings import AuditSettings
from services.audit.tests.support import apply, connected, received
from services.audit.wiring import wire

ACTOR = uuid4()


@dataclass
class Running:
    """The service served, and a workspace with three members."""

    url: str
    http: httpx.AsyncClient
    people: People
    workspace_id: UUID = field(default_factory=uuid4)
    members: dict[Role, UUID] = field(
        default_factory=lambda: {"owner": uuid4(), "editor": uuid4(), "analyst": uuid4()}
    )

    async def get(self, user_id: UUID, **query: Any) -> httpx.Response:
        return await self.http.get(
            f"{self.url}/v1/workspaces/{self.workspace_id}/audit-logs",
            params={name: str(value) for name, value in query.items()},
            headers=self.people.bearer(user_id),
        )

    async def actions(self, **query: Any) -> list[str]:
        answer = await self.get(self.members["owner"], **query)
        assert answer.status_code == 200, answer.text
        return [item["action"] for item in answer.json()["items"]]


@pytest.fixture
async def running(urls: ServiceUrls, worker: AsyncEngine, people: People) -> AsyncIterator[Running]:
    """A trail of four entries, one of them another workspace's."""
    settings = AuditSettings(**service_settings(urls, people, BrokerConfig("127.0.0.1:1")))
    service = wire(settings)
    async with serve(service.app) as url, httpx.AsyncClient(timeout=30) as http:
        running = Running(url, http, people)
        workspace, account, other = running.workspace_id, uuid4(), uuid4()
        joined = [
            received(
                MemberAdded(member_id=uuid4(), workspace_id=workspace, user_id=user, role=role),
                f"workspace-{workspace}",
                minutes=minutes,
                actor_id=ACTOR if role != "owner" else user,
                ip="203.0.113.7",
            )
            for minutes, (role, user) in enumerate(running.members.items())
        ]
        async with worker.begin() as connection:
            await apply_members(connection, joined)
        await apply(
            worker,
            [
                *joined[:2],
                received(connected(account, workspace), f"account-{account}", minutes=10),
                received(connected(other, uuid4()), f"account-{other}", minutes=11),
            ],
        )
        yield running
    assert service.close is not None
    await service.close()


async def test_an_owner_reads_the_trail_newest_first(running: Running) -> None:
    answer = await running.get(running.members["owner"])
    items = answer.json()["items"]
    assert [item["action"] for item in items] == [
        "account.connected",
        "member.added",
        "member.added",
    ]
    assert items[0]["timestamp"] == "2026-03-02T12:10:00Z"
    assert items[1]["ip_address"] == "203.0.113.7"
    assert items[1]["details"]["role"] == "editor"


async def test_filters_narrow_the_trail(running: Running) -> None:
    assert await running.actions(action="account.connected") == ["account.connected"]
    assert await running.actions(actor=ACTOR) == ["member.added"]
    assert await running.actions(since="2026-03-02T12:10:00Z") == ["account.connected"]
    assert await running.actions(until="2026-03-02T12:01:00Z") == ["member.added"]
    assert await running.actions(action="post.created") == []


async def test_pages_neither_skip_nor_repeat(running: Running) -> None:
    first = (await running.get(running.members["owner"], limit=2)).json()
    rest = (
        await running.get(running.members["owner"], limit=2, cursor=first["next_cursor"])
    ).json()
    assert (len(first["items"]), len(rest["items"]), rest["next_cursor"]) == (2, 1, None)
    assert len({item["id"] for item in first["items"] + rest["items"]}) == 3


@pytest.mark.parametrize("role", ["editor", "analyst"])
async def test_only_owners_read_it(running: Running, role: Role) -> None:
    assert (await running.get(running.members[role])).status_code == 403


async def test_strangers_find_nothing(running: Running) -> None:
    assert (await running.get(uuid4())).status_code == 404


@pytest.mark.parametrize(
    "query",
    [
        {"since": "2026-03-02"},
        {"since": "0001-01-01T00:00:00+14:00"},
        {"actor": "nobody"},
        {"cursor": "x"},
        {"action": "a" * 65},
        {"action": "a\x00"},
    ],
)
async def test_malformed_parameters_are_422(running: Running, query: dict[str, str]) -> None:
    answer = await running.get(running.members["owner"], **query)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
