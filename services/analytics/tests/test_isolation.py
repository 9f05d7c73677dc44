"""No row of another workspace, by the database's own rules."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import errors as pg
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.chassis.members import apply as apply_members
from libs.chassis.provision import ServiceUrls
from libs.contracts.identity import MemberAdded
from services.analytics.projections import accounts
from services.analytics.tests.support import Connected, apply, at, received
from services.analytics.wiring import READERS

TABLES = [
    "accounts",
    "members",
    "metrics_snapshots",
    "follower_changes",
    "top_content",
    "deleted_posts",
    "audience_insights",
]
MINE, THEIRS = uuid4(), uuid4()


@pytest.fixture
async def filled(urls: ServiceUrls, worker: AsyncEngine) -> ServiceUrls:
    """A row of each table for MINE."""
    account = Connected(MINE, "x")
    member = MemberAdded(member_id=uuid4(), workspace_id=MINE, user_id=uuid4(), role="owner")
    async with worker.begin() as connection:
        await apply_members(connection, [received(member)])
    await apply(worker, accounts.READER, [account.connected()])
    events = [
        account.metrics(at(2)),
        account.gained(at(2)),
        account.post(at(2)),
        account.deleted(at(2)),
        account.audience(at(2)),
    ]
    for reader in READERS[2:]:
        assert reader.types is not None
        await apply(worker, reader, [event for event in events if event.type in reader.types])
    return urls


@pytest.fixture
def app(filled: ServiceUrls) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A connection under the role of requests."""
    with psycopg.connect(filled.app, autocommit=True) as connection:
        yield connection


def _count(
    app: psycopg.Connection[tuple[object, ...]], table: str, workspace: UUID | None
) -> object:
    with app.transaction():
        if workspace is not None:
            app.execute(
                "SELECT set_config('rookery.workspace_id', %s, true)", [str(workspace)]
            ).fetchone()
        row = app.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    assert row is not None
    return row[0]


@pytest.mark.parametrize("table", TABLES)
def test_rows_are_seen_in_their_own_workspace_only(
    app: psycopg.Connection[tuple[object, ...]], table: str
) -> None:
    assert _count(app, table, MINE) == 1
    assert _count(app, table, THEIRS) == 0
    assert _count(app, table, None) == 0


@pytest.mark.parametrize("table", TABLES)
def test_requests_can_neither_write_nor_lift_the_rules(
    app: psycopg.Connection[tuple[object, ...]], table: str
) -> None:
    for statement in (
        f"DELETE FROM {table}",
        f"TRUNCATE {table}",
        f"INSERT INTO {table} SELECT * FROM {table}",
        f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY",
        f"DROP POLICY tenant ON {table}",
        f"CREATE POLICY mine ON {table} USING (true)",
    ):
        with pytest.raises(pg.InsufficientPrivilege):
            app.execute(statement.encode())


@pytest.mark.parametrize("table", ["checkpoints", "dead_letters", "handled_events"])
def test_requests_do_not_see_the_readers_tables(
    app: psycopg.Connection[tuple[object, ...]], table: str
) -> None:
    with pytest.raises(pg.InsufficientPrivilege):
        app.execute(f"SELECT 1 FROM {table}".encode())


async def test_rows_of_an_account_not_known_yet_are_nobodys(
    urls: ServiceUrls, worker: AsyncEngine
) -> None:
    account = Connected(MINE)
    await apply(worker, READERS[2], [account.metrics(at(2))])
    with psycopg.connect(urls.app, autocommit=True) as app:
        assert _count(app, "metrics_snapshots", MINE) == 0
        await apply(worker, accounts.READER, [account.connected()])
        assert _count(app, "metrics_snapshots", MINE) == 1


def test_every_table_with_rows_of_a_tenant_forces_its_rules(urls: ServiceUrls) -> None:
    with psycopg.connect(urls.owner) as owner:
        forced = owner.execute(
            "SELECT relname FROM pg_class WHERE relforcerowsecurity ORDER BY 1"
        ).fetchall()
    assert [name for (name,) in forced] == sorted(TABLES)
