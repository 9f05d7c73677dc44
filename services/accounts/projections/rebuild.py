"""The table once more, from the log alone."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.eventlog.log import Recorded, load
from services.accounts.projections.social_accounts import project

_STREAMS = text("SELECT DISTINCT stream FROM events")
_ORDER = text("SELECT id FROM events ORDER BY xid, position")


async def rebuild(connection: AsyncConnection) -> None:
    """Empty social_accounts and fold the log into it again.

    In the caller's transaction, under the worker role. Tokens hang on the rows by a foreign key
    that is checked at the commit, so they stay. Events are applied in the order of the log, as
    one account may take the handle of another.
    """
    await connection.execute(text("LOCK TABLE social_accounts IN EXCLUSIVE MODE"))
    await connection.execute(text("SET CONSTRAINTS ALL DEFERRED"))
    await connection.execute(text("DELETE FROM social_accounts"))
    recorded: dict[object, Recorded] = {}
    for stream in (await connection.execute(_STREAMS)).scalars().all():
        recorded |= {item.id: item for item in await load(connection, stream)}
    order = (await connection.execute(_ORDER)).scalars().all()
    await project(connection, [recorded[event_id] for event_id in order])
