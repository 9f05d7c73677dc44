"""Nobody whom the services run as can change what the trail says."""

from __future__ import annotations

from uuid import uuid4

import psycopg
import pytest
from psycopg import errors as pg
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.chassis.provision import ROLES, ServiceUrls
from services.audit.tests.support import apply, connected, entries, received

WRITES = [
    "UPDATE audit_logs SET action = 'nothing'",
    "UPDATE audit_logs SET action = 'nothing' WHERE false",
    "DELETE FROM audit_logs",
    "TRUNCATE audit_logs",
    "TRUNCATE audit_logs CASCADE",
    (
        "MERGE INTO audit_logs a USING (VALUES (1)) AS v ON true"
        " WHEN MATCHED THEN UPDATE SET action = 'nothing'"
    ),
    (
        "INSERT INTO audit_logs (id, action, entity_type, entity_id, service)"
        " SELECT id, 'nothing', 'x', id, 'x' FROM audit_logs"
        " ON CONFLICT (id) DO UPDATE SET action = 'nothing'"
    ),
]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("statement", WRITES)
async def test_every_change_is_refused_to_every_role(
    urls: ServiceUrls, worker: AsyncEngine, role: str, statement: str
) -> None:
    account, workspace = uuid4(), uuid4()
    await apply(worker, [received(connected(account, workspace), f"account-{account}")])
    before = await entries(worker)
    with psycopg.connect(getattr(urls, role), autocommit=True) as connection:
        connection.execute("SELECT set_config('rookery.workspace_id', %s, false)", [str(workspace)])
        with pytest.raises(pg.InsufficientPrivilege):
            connection.execute(statement.encode())
    assert await entries(worker) == before


@pytest.mark.parametrize("role", ["app", "worker"])
@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE audit_logs DISABLE TRIGGER ALL",
        "DROP TRIGGER append_only ON audit_logs",
        "DROP TABLE audit_logs",
        "ALTER TABLE audit_logs DISABLE ROW LEVEL SECURITY",
        "DROP POLICY tenant ON audit_logs",
        "DROP FUNCTION audit_logs_refuse() CASCADE",
        "SET session_replication_role = replica",
    ],
)
def test_the_working_roles_cannot_lift_the_rule(
    urls: ServiceUrls, role: str, statement: str
) -> None:
    with (
        psycopg.connect(getattr(urls, role), autocommit=True) as connection,
        pytest.raises(pg.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())


def test_requests_cannot_add_to_the_trail(urls: ServiceUrls) -> None:
    with psycopg.connect(urls.app) as app, pytest.raises(pg.InsufficientPrivilege):
        app.execute(
            "INSERT INTO audit_logs (id, action, entity_type, entity_id, service)"
            " VALUES (gen_random_uuid(), 'a.b', 'x', gen_random_uuid(), 'x')"
        )


async def test_entries_are_seen_in_their_own_workspace_only(
    urls: ServiceUrls, worker: AsyncEngine
) -> None:
    account, workspace = uuid4(), uuid4()
    await apply(worker, [received(connected(account, workspace), f"account-{account}")])

    def seen(workspace_id: object) -> int:
        with psycopg.connect(urls.app) as app:
            app.execute("SELECT set_config('rookery.workspace_id', %s, true)", [str(workspace_id)])
            row = app.execute("SELECT count(*) FROM audit_logs").fetchone()
            assert row is not None
            return int(row[0])

    assert (seen(workspace), seen(uuid4()), seen("")) == (1, 0, 0)
