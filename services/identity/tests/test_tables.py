"""Rebuilding from the log, and row-level security as the database enforces it."""

from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import errors as pg
from sqlalchemy import text

from services.identity.projections.rebuild import rebuild

from .conftest import App

TABLES = ("users", "workspaces", "workspace_members")
GUARDED = (*TABLES, "sessions", "refresh_tokens", "events", "idempotency_keys")


async def history(app: App) -> dict[str, Any]:
    """Two workspaces that have seen everything that can happen."""
    ana, who = await app.person("ana@example.org")
    ben, bens = await app.person("ben@example.org")
    workspace = await app.workspace(who, "One")
    other = await app.workspace(bens, "Two")
    url = f"/v1/workspaces/{workspace}"
    members = f"{url}/members"
    await app.http.patch(url, json={"name": "Uno"}, headers=who)
    await app.http.post(members, json={"email": "ben@example.org", "role": "owner"}, headers=who)
    await app.http.patch(f"{members}/{ana}", json={"role": "editor"}, headers=bens)
    await app.http.delete(f"{members}/{ana}", headers=who)
    await app.http.post(members, json={"email": "ana@example.org", "role": "analyst"}, headers=bens)
    return {"ana": ana, "ben": ben, "workspace": workspace, "other": other}


async def test_rebuilding_from_the_log_gives_the_same_rows(app: App) -> None:
    await history(app)
    async with app.worker.begin() as connection:
        before = {
            table: (await connection.execute(text(f"SELECT * FROM {table} ORDER BY id"))).all()
            for table in TABLES
        }
        assert all(before.values())
        await rebuild(connection)
        for table in TABLES:
            after = (await connection.execute(text(f"SELECT * FROM {table} ORDER BY id"))).all()
            assert after == before[table], table
    assert (await app.login("ana@example.org")).status_code == 200


def connect(app: App, *, workspace: object = "", user: object = "") -> psycopg.Connection[Any]:
    connection = psycopg.connect(app.urls.app)
    connection.execute(
        "SELECT set_config('rookery.workspace_id', %s, true),"
        " set_config('rookery.user_id', %s, true)",
        [str(workspace), str(user)],
    )
    return connection


async def test_without_a_tenant_nothing_is_seen(app: App) -> None:
    await history(app)
    with connect(app) as connection:
        for table in GUARDED:
            assert connection.execute(f"SELECT * FROM {table}".encode()).fetchall() == [], table


async def test_another_workspace_or_person_sees_and_changes_nothing_of_this_one(app: App) -> None:
    await history(app)
    with connect(app, workspace=uuid4(), user=uuid4()) as connection:
        for table in GUARDED:
            assert connection.execute(f"SELECT * FROM {table}".encode()).fetchall() == [], table
        for change in (
            "UPDATE users SET password_hash = 'x'",
            "UPDATE workspaces SET name = 'x'",
            "UPDATE workspace_members SET role = 'owner'",
            "DELETE FROM workspace_members",
            "UPDATE sessions SET revoked_at = NULL",
            "UPDATE refresh_tokens SET used_at = NULL",
            "UPDATE idempotency_keys SET answer = NULL",
        ):
            assert connection.execute(change.encode()).rowcount == 0, change


async def test_a_workspace_sees_its_own_rows_only(app: App) -> None:
    known = await history(app)
    with connect(app, workspace=known["other"]) as connection:
        ids = connection.execute("SELECT id FROM workspaces").fetchall()
        assert [str(row[0]) for row in ids] == [known["other"]]
        emails = connection.execute("SELECT email FROM users").fetchall()
        assert emails == [("ben@example.org",)]
        streams = connection.execute("SELECT DISTINCT stream FROM events").fetchall()
        assert streams == [(f"workspace-{known['other']}",)]


async def test_nothing_can_be_written_into_another_workspace(app: App) -> None:
    known = await history(app)
    member = "INSERT INTO workspace_members (id, workspace_id, user_id, role) VALUES "
    event = (
        "INSERT INTO events (id, stream, version, type, workspace_id, data, metadata, occurred_at)"
        " VALUES (gen_random_uuid(), 's', 1, 't', %s, '{}', '{}', now())"
    )
    workspace = "INSERT INTO workspaces (id, name, owner_id) VALUES (gen_random_uuid(), 'x', %s)"
    user = "INSERT INTO users (id, email, password_hash) VALUES (gen_random_uuid(), 'e', 'h')"
    for statement, values in [
        (member + "(gen_random_uuid(), %s, %s, 'owner')", [known["other"], known["ana"]]),
        (event, [known["other"]]),
        (workspace, [known["ana"]]),
        (user, []),
    ]:
        with (
            connect(app, workspace=known["workspace"], user=known["ana"]) as connection,
            pytest.raises(pg.InsufficientPrivilege),
        ):
            connection.execute(statement.encode(), values)


async def test_a_person_may_see_but_not_touch_what_is_theirs_elsewhere(app: App) -> None:
    known = await history(app)
    with connect(app, user=known["ben"]) as connection:
        assert len(connection.execute("SELECT * FROM workspaces").fetchall()) == 2
        assert connection.execute("UPDATE workspaces SET name = 'mine'").rowcount == 0
        assert connection.execute("UPDATE workspace_members SET role = 'owner'").rowcount == 0
        assert connection.execute("DELETE FROM workspace_members").rowcount == 0


async def test_the_app_role_cannot_get_round_the_rules(app: App) -> None:
    with psycopg.connect(app.urls.app, autocommit=True) as connection:
        for statement in (
            "ALTER TABLE users DISABLE ROW LEVEL SECURITY",
            "ALTER TABLE users NO FORCE ROW LEVEL SECURITY",
            "DROP POLICY tenant ON users",
            "CREATE POLICY all_of_it ON users USING (true)",
            "TRUNCATE users",
            "DELETE FROM events",
            "UPDATE events SET type = 'x'",
            "SET ROLE identity_owner",
            "SELECT * FROM relay_cursors",
        ):
            with pytest.raises(pg.InsufficientPrivilege):
                connection.execute(statement.encode())
        connection.execute("SET row_security = off")
        with pytest.raises(pg.InsufficientPrivilege):
            connection.execute("SELECT * FROM users")


async def test_every_tenant_table_is_forced_under_row_level_security(app: App) -> None:
    with psycopg.connect(app.urls.owner) as connection:
        rows = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p')"
            " AND relnamespace = 'public'::regnamespace"
            " AND NOT (relrowsecurity AND relforcerowsecurity)"
        ).fetchall()
        assert {row[0] for row in rows} == {"alembic_version", "relay_cursors", "throttles"}
        assert connection.execute("SELECT * FROM users").fetchall() == []
