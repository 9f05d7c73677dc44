"""Rebuilding from the log, and row-level security as the database enforces it."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import errors as pg
from sqlalchemy import text

from services.accounts.projections.rebuild import rebuild

from .conftest import PLATFORMS, App, Member

GUARDED = ("social_accounts", "oauth_tokens", "oauth_states", "events", "members")


async def history(app: App) -> Member:
    """Four accounts, one of them disconnected, one handed on, and flows under way."""
    member = await app.member()
    connected = {platform: await app.connect(member, platform) for platform in PLATFORMS}
    app.clock.advance(timedelta(minutes=110))
    await app.refresher.refresh_due()
    await app.http.delete(f"{member.accounts}/{connected['x']}", headers=member.headers)
    await app.control(
        "revoke",
        {"platform": "tiktok", "handle": await app.handle("tiktok"), "notify": False},
    )
    app.clock.advance(timedelta(days=30))
    await app.refresher.refresh_due()
    await app.consent(grant_scopes=["instagram_business_basic"], platform="instagram")
    await app.connect(member, "instagram")
    person = {"platform": "x", "handle": "handed_on"}
    await app.consent(**{"as": "handed_on", "platform": "x"})
    for account in ("1001", "1002"):
        await app.control("people", {**person, "account_id": account})
        await app.connect(member, "x")
    await app.begin(member, "linkedin")
    return member


async def test_rebuilding_from_the_log_gives_the_same_rows(app: App) -> None:
    await history(app)
    everything = text("SELECT * FROM social_accounts ORDER BY id")
    async with app.worker.begin() as connection:
        before = (await connection.execute(everything)).all()
        assert {row.status for row in before} == {"active", "needs_review", "disconnected"}
        await rebuild(connection)
        assert (await connection.execute(everything)).all() == before
    tokens = await app.sql("SELECT count(*) AS n FROM oauth_tokens")
    assert tokens[0].n == 5


def connect(app: App, workspace: object = "", user: object = "") -> psycopg.Connection[Any]:
    connection = psycopg.connect(app.urls.app)
    connection.execute(
        "SELECT set_config('rookery.workspace_id', %s, true),"
        " set_config('rookery.user_id', %s, true)",
        [str(workspace), str(user)],
    )
    return connection


async def test_nothing_is_seen_or_changed_without_the_workspace(app: App) -> None:
    member = await history(app)
    for workspace in ("", uuid4()):
        with connect(app, workspace, member.user_id) as connection:
            for table in GUARDED:
                rows = connection.execute(f"SELECT * FROM {table}".encode()).fetchall()
                assert rows == [], table
            for change in (
                "UPDATE social_accounts SET status = 'active'",
                "UPDATE oauth_tokens SET version = 0",
                "DELETE FROM oauth_tokens",
                "DELETE FROM oauth_states",
            ):
                assert connection.execute(change.encode()).rowcount == 0, change
    with connect(app, member.workspace_id) as connection:
        for table in GUARDED:
            assert connection.execute(f"SELECT * FROM {table}".encode()).fetchall(), table


async def test_nothing_can_be_written_into_another_workspace(app: App) -> None:
    member = await app.member()
    account = (
        "INSERT INTO social_accounts (id, workspace_id, platform, handle, platform_user_id)"
        " VALUES (gen_random_uuid(), %s, 'x', 'h', '1')"
    )
    state = (
        "INSERT INTO oauth_states (id, state_hash, workspace_id, user_id, platform, created_at,"
        " expires_at) VALUES (gen_random_uuid(), 'h', %s, gen_random_uuid(), 'x', now(), now())"
    )
    event = (
        "INSERT INTO events (id, stream, version, type, workspace_id, data, metadata, occurred_at)"
        " VALUES (gen_random_uuid(), 's', 1, 't', %s, '{}', '{}', now())"
    )
    for statement in (account, state, event):
        with connect(app, uuid4()) as connection, pytest.raises(pg.InsufficientPrivilege):
            connection.execute(statement.encode(), [member.workspace_id])


async def test_the_app_role_cannot_get_round_the_rules(app: App) -> None:
    with psycopg.connect(app.urls.app, autocommit=True) as connection:
        for statement in (
            "ALTER TABLE oauth_tokens DISABLE ROW LEVEL SECURITY",
            "ALTER TABLE oauth_tokens NO FORCE ROW LEVEL SECURITY",
            "DROP POLICY tenant ON oauth_tokens",
            "CREATE POLICY all_of_it ON oauth_tokens USING (true)",
            "TRUNCATE oauth_tokens",
            "DELETE FROM events",
            "DELETE FROM social_accounts",
            "INSERT INTO members VALUES (gen_random_uuid(), gen_random_uuid(), 'owner')",
            "SET ROLE accounts_owner",
        ):
            with pytest.raises(pg.InsufficientPrivilege):
                connection.execute(statement.encode())


async def test_every_tenant_table_is_forced_under_row_level_security(app: App) -> None:
    with psycopg.connect(app.urls.owner) as connection:
        rows = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p')"
            " AND relnamespace = 'public'::regnamespace"
            " AND NOT (relrowsecurity AND relforcerowsecurity)"
        ).fetchall()
        assert {row[0] for row in rows} == {
            "alembic_version",
            "checkpoints",
            "dead_letters",
            "handled_events",
            "relay_cursors",
        }
        assert connection.execute("SELECT * FROM oauth_tokens").fetchall() == []
