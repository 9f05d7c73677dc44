"""What ingestion reports, over a real broker."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from libs.contracts.event import Event
from libs.contracts.identity import MemberAdded, MemberRemoved
from libs.contracts.ingestion import AuthorizationRevoked
from libs.messaging.config import BrokerConfig
from libs.testing.serving import until
from libs.testing.topics import Publisher

from .conftest import App, Member


@pytest.fixture
def broker_of_app(broker_config: BrokerConfig) -> BrokerConfig:
    return broker_config


@asynccontextmanager
async def consuming(app: App) -> AsyncIterator[Publisher]:
    """Both readers at work; yields what to publish ingestion's events with."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for runner in app.service.runners:
            group.create_task(runner.run(stop))
        try:
            yield Publisher(app.service.settings.broker, "ingestion.events")
        finally:
            stop.set()


def revoked(member: Member, account_id: UUID, at: datetime) -> Event:
    return AuthorizationRevoked(
        account_id=account_id,
        workspace_id=member.workspace_id,
        platform="x",
        occurred_at=at,
        reason="user",
    )


async def handled(app: App, count: int) -> None:
    async def done() -> bool:
        rows = await app.sql("SELECT count(*) AS n FROM handled_events")
        return bool(rows[0].n >= count)

    await until(done, what="handling", timeout=30)


async def test_a_grant_taken_back_at_the_platform_disconnects_the_account(app: App) -> None:
    member = await app.member()
    account_id = await app.connect(member, "x")
    event = revoked(member, account_id, app.clock.now())
    async with consuming(app) as publisher:
        sent = await publisher.publish([event, event], stream=f"account-{account_id}")
        await handled(app, 2)
    found = await app.account(member, account_id)
    assert (found["status"], found["status_reason"]) == ("disconnected", "revoked-at-platform")
    assert await app.sql("SELECT 1 FROM oauth_tokens") == []
    assert [kind for kind, _ in await app.events()].count("account_disconnected") == 1
    (row,) = await app.sql("SELECT metadata FROM events WHERE type LIKE '%disconnected%'")
    assert row.metadata["causation_id"] == str(sent[0].id)


async def test_a_revocation_from_before_the_present_grant_is_void(app: App) -> None:
    member = await app.member()
    account_id = await app.connect(member, "x")
    before = app.clock.now()
    app.clock.advance(timedelta(minutes=1))
    await app.connect(member, "x")
    async with consuming(app) as publisher:
        stream = f"account-{account_id}"
        await publisher.publish([revoked(member, account_id, before)], stream=stream)
        unknown = revoked(member, uuid4(), app.clock.now())
        await publisher.publish([unknown], stream=stream)
        await handled(app, 2)
    assert (await app.account(member, account_id))["status"] == "active"


async def test_members_come_from_identity(app: App) -> None:
    workspace, user = uuid4(), uuid4()
    headers = app.people.bearer(user)
    url = f"/v1/workspaces/{workspace}/accounts"
    async with consuming(app):
        publisher = Publisher(app.service.settings.broker, "identity.events")
        stream = f"workspace-{workspace}"

        async def answers(status: int) -> None:
            async def so() -> bool:
                return (await app.http.get(url, headers=headers)).status_code == status

            await until(so, what=f"status {status}", timeout=30)

        added = MemberAdded(member_id=uuid4(), workspace_id=workspace, user_id=user, role="editor")
        await answers(404)
        await publisher.publish([added], stream=stream, workspace_id=workspace)
        await answers(200)
        removed = MemberRemoved(workspace_id=workspace, user_id=user)
        await publisher.publish([removed], stream=stream, workspace_id=workspace)
        await answers(404)
