"""The three tables once more, from the log alone."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.eventlog.log import load
from services.identity.projections import users, workspaces

_TABLES = ("workspace_members", "workspaces", "users")
_STREAMS = text(
    "SELECT stream FROM events WHERE stream LIKE :kind GROUP BY stream ORDER BY min(position)"
)
_PUT_BACK = """
UPDATE users u SET password_hash = k.password_hash
FROM unnest(%(ids)b::uuid[], %(hashes)b::text[]) AS k (id, password_hash) WHERE k.id = u.id
"""


async def rebuild(connection: AsyncConnection) -> None:
    """Empty users, workspaces and workspace_members and fold every stream into them again.

    In the caller's transaction, under the worker role; writers wait, and readers see nothing of
    it before the commit. Password hashes are kept: they are in no event. Sessions hang on users
    by a foreign key that is checked at the commit, so they stay.
    """
    await connection.execute(text(f"LOCK TABLE {', '.join(_TABLES)} IN EXCLUSIVE MODE"))
    await connection.execute(text("SET CONSTRAINTS ALL DEFERRED"))
    kept = (await connection.execute(text("SELECT id, password_hash FROM users"))).all()
    for table in _TABLES:
        await connection.execute(text(f"DELETE FROM {table}"))
    for kind, project in (("user-%", users.project), ("workspace-%", workspaces.project)):
        for stream in (await connection.execute(_STREAMS, {"kind": kind})).scalars().all():
            await project(connection, await load(connection, stream))
    await connection.exec_driver_sql(
        _PUT_BACK,
        {"ids": [row.id for row in kept], "hashes": [row.password_hash for row in kept]},
    )
