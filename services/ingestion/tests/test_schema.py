"""What the database itself refuses, whatever the code does."""

from __future__ import annotations

from uuid import uuid4

import psycopg
import pytest
from psycopg import errors as pg

from libs.chassis.provision import ServiceUrls
from libs.testing.databases import DatabaseOf
from services.ingestion.tests.support import query

OURS, THEIRS = uuid4(), uuid4()
INSERT = """
INSERT INTO events (id, workspace_id, social_account_id, platform, type, payload)
VALUES (gen_random_uuid(), %s, gen_random_uuid(), 'x', 't', '{}')
"""


@pytest.fixture
async def urls(database_of: DatabaseOf) -> ServiceUrls:
    """One event, one member and one route in each of two workspaces."""
    urls = database_of("ingestion")
    for workspace in (OURS, THEIRS):
        await query(urls.worker, INSERT, workspace)
        await query(urls.worker, "INSERT INTO members VALUES (%s, %s, 'owner')", workspace, uuid4())
    return urls


async def seen_by_app(urls: ServiceUrls, table: str, workspace: object) -> list[object]:
    async with await psycopg.AsyncConnection.connect(urls.app) as connection:
        if workspace is not None:
            await connection.execute(
                "SELECT set_config('rookery.workspace_id', %s, true)", [str(workspace)]
            )
        rows = await connection.execute(f"SELECT workspace_id FROM {table}".encode())
        return [row[0] for row in await rows.fetchall()]


@pytest.mark.parametrize("table", ["events", "members"])
async def test_the_app_role_sees_the_workspace_of_its_transaction_only(
    urls: ServiceUrls, table: str
) -> None:
    assert await seen_by_app(urls, table, OURS) == [OURS]
    assert await seen_by_app(urls, table, THEIRS) == [THEIRS]
    assert await seen_by_app(urls, table, uuid4()) == []
    assert await seen_by_app(urls, table, None) == []
    assert await seen_by_app(urls, table, "") == []


@pytest.mark.parametrize(
    "statement",
    [
        INSERT.replace("%s", "gen_random_uuid()"),
        "UPDATE events SET payload = '{}'",
        "DELETE FROM events",
        "TRUNCATE events",
        "SELECT FROM event_keys",
        "SELECT FROM quarantine",
        "SELECT FROM account_routes",
        "SELECT FROM poll_schedule",
        "SELECT FROM events_default",
        "SELECT events_ensure_month(date '2026-01-01')",
        "ALTER TABLE events DISABLE ROW LEVEL SECURITY",
        "DROP POLICY tenant ON events",
        "CREATE TABLE mine ()",
        "SET ROLE ingestion_owner",
    ],
)
async def test_the_app_role_may_only_read(urls: ServiceUrls, statement: str) -> None:
    with pytest.raises((pg.InsufficientPrivilege, pg.InvalidParameterValue)):
        await query(urls.app, statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET payload = '{}'",
        "DELETE FROM events",
        "TRUNCATE events",
        "DELETE FROM event_keys",
        "TRUNCATE event_keys",
        "DELETE FROM quarantine",
        "UPDATE quarantine SET body = ''",
        "SELECT FROM events_default",
        "ALTER TABLE events DISABLE ROW LEVEL SECURITY",
        "SET ROLE ingestion_owner",
    ],
)
async def test_the_worker_role_may_append_and_never_change(
    urls: ServiceUrls, statement: str
) -> None:
    with pytest.raises((pg.InsufficientPrivilege, pg.InvalidParameterValue)):
        await query(urls.worker, statement)


async def test_every_table_of_tenants_enforces_row_level_security(urls: ServiceUrls) -> None:
    rows = await query(
        urls.owner,
        """
        SELECT relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE attname = 'workspace_id' AND relkind IN ('r', 'p') AND NOT relispartition
          AND NOT (relrowsecurity AND relforcerowsecurity)
        """,
    )
    assert rows == []


async def test_the_events_table_is_that_of_the_data_model(urls: ServiceUrls) -> None:
    rows = await query(
        urls.owner,
        """
        SELECT column_name AS name, data_type AS type, character_maximum_length AS size,
          is_nullable AS nullable, column_default AS "default"
        FROM information_schema.columns WHERE table_name = 'events'
        """,
    )
    columns = {row.pop("name"): tuple(row.values()) for row in rows}
    assert (
        columns.items()
        >= {
            "id": ("uuid", None, "NO", None),
            "workspace_id": ("uuid", None, "NO", None),
            "platform": ("character varying", 32, "NO", None),
            "type": ("character varying", 64, "NO", None),
            "payload": ("jsonb", None, "NO", None),
            "received_at": ("timestamp with time zone", None, "NO", "now()"),
        }.items()
    )
    [index] = await query(
        urls.owner, "SELECT pg_get_indexdef('events_by_type'::regclass) AS definition"
    )
    assert "(workspace_id, type, received_at DESC)" in index["definition"]


async def test_this_month_and_the_next_three_have_partitions(urls: ServiceUrls) -> None:
    [row] = await query(
        urls.owner,
        "SELECT count(*) AS parts FROM pg_inherits WHERE inhparent = 'events'::regclass",
    )
    assert row["parts"] == 5  # with the default
