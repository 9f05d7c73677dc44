"""Tenancy by the database's own rule, and roles that keep to their own database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.chassis.database import Database
from libs.chassis.members import apply, members_v1, role_of
from libs.chassis.provision import ROLES, ServiceUrls, provision
from libs.contracts.envelope import Cursor, Envelope
from libs.contracts.event import Event
from libs.contracts.identity import MemberAdded, MemberRemoved, MemberRoleChanged
from libs.projections.reader import Received
from libs.testing.clock import FakeClock
from libs.testing.servers import Postgres

EngineOf = Callable[[str], AsyncEngine]
OURS, THEIRS = uuid4(), uuid4()
ANA, BEN = uuid4(), uuid4()


@pytest.fixture
def urls(postgres: Postgres) -> ServiceUrls:
    found = provision(
        postgres.url, "spine", dict.fromkeys(ROLES, "test"), database=f"spine_{uuid4().hex[:12]}"
    )
    with psycopg.connect(found.owner) as connection:
        for statement in members_v1("spine"):
            connection.execute(statement.encode())
    return found


def _received(event: Event, position: int) -> Received[Event]:
    return Received(
        event,
        Envelope(
            id=uuid4(),
            type=event.type,
            source="/identity",
            time=FakeClock().now(),
            stream="workspace",
            workspace_id=None,
            cursor=Cursor(1, position),
        ),
    )


def _added(workspace: UUID, user: UUID, role: str) -> MemberAdded:
    return MemberAdded.model_validate(
        {"member_id": uuid4(), "workspace_id": workspace, "user_id": user, "role": role}
    )


async def test_a_transaction_sees_its_own_workspace_only(
    urls: ServiceUrls, engine_of: EngineOf
) -> None:
    async with engine_of(urls.worker).begin() as connection:
        await apply(
            connection,
            [
                _received(_added(OURS, ANA, "owner"), 1),
                _received(_added(OURS, BEN, "analyst"), 2),
                _received(_added(THEIRS, BEN, "owner"), 3),
                _received(MemberRoleChanged(workspace_id=OURS, user_id=BEN, role="editor"), 4),
                _received(_added(THEIRS, ANA, "editor"), 5),
                _received(MemberRemoved(workspace_id=THEIRS, user_id=ANA), 6),
            ],
        )
    database = Database(engine_of(urls.app))
    async with database.transaction(workspace_id=OURS) as connection:
        assert await role_of(connection, OURS, ANA) == "owner"
        assert await role_of(connection, OURS, BEN) == "editor"
        assert await role_of(connection, THEIRS, BEN) is None
        count = await connection.exec_driver_sql("SELECT count(*) FROM members")
        assert count.scalar_one() == 2
    async with database.transaction() as connection:
        count = await connection.exec_driver_sql("SELECT count(*) FROM members")
        assert count.scalar_one() == 0


async def test_the_tenant_does_not_leak_through_the_pool(
    urls: ServiceUrls, engine_of: EngineOf
) -> None:
    database = Database(engine_of(urls.app))

    async def tenant(workspace: UUID | None) -> str:
        async with database.transaction(workspace_id=workspace) as connection:
            await asyncio.sleep(0)
            found = await connection.exec_driver_sql(
                "SELECT coalesce(current_setting('rookery.workspace_id', true), '')"
            )
            return str(found.scalar_one())

    wanted = [OURS, None, THEIRS] * 20
    found = await asyncio.gather(*(tenant(workspace) for workspace in wanted))
    assert found == [str(workspace or "") for workspace in wanted]
    async with database.engine.connect() as connection:
        left = await connection.exec_driver_sql(
            "SELECT coalesce(current_setting('rookery.workspace_id', true), '')"
        )
        assert left.scalar_one() == ""


async def test_the_owner_of_a_table_is_bound_by_its_rule_too(urls: ServiceUrls) -> None:
    with psycopg.connect(urls.worker) as connection:
        connection.execute("INSERT INTO members VALUES (%s, %s, 'owner')", [OURS, ANA])
    with psycopg.connect(urls.owner) as connection:
        assert connection.execute("SELECT count(*) FROM members").fetchone() == (0,)


@pytest.mark.parametrize("role", ["app", "worker"])
async def test_working_roles_can_neither_define_nor_reach_elsewhere(
    urls: ServiceUrls, postgres: Postgres, role: str
) -> None:
    other = provision(
        postgres.url, "other", dict.fromkeys(ROLES, "test"), database=f"other_{uuid4().hex[:12]}"
    )
    url = getattr(urls, role)
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in (
            b"CREATE TABLE mine (a int)",
            b"ALTER TABLE members DISABLE ROW LEVEL SECURITY",
            b"DROP POLICY tenant ON members",
            b"TRUNCATE members",
            b"SET ROLE spine_owner",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
    elsewhere = url.rsplit("/", 1)[0] + "/" + other.app.rsplit("/", 1)[1]
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(elsewhere)


async def test_provisioning_again_changes_nothing_but_passwords(
    urls: ServiceUrls, postgres: Postgres
) -> None:
    name = urls.app.rsplit("/", 1)[1]
    again = provision(postgres.url, "spine", dict.fromkeys(ROLES, "test"), database=name)
    assert again == urls
