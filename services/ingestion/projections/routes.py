"""Whose account a platform's user id is: `account_routes`, fed by accounts' events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.accounts import (
    AccountConnected,
    AccountDisconnected,
    AccountReconnected,
    PlatformName,
)
from libs.contracts.envelope import Cursor, Envelope
from libs.contracts.event import Event
from libs.projections.arrays import Array, bigints, booleans, texts, times, uuids
from libs.projections.reader import Reader, Received, projection

TOPIC = "accounts.events"
Connected = AccountConnected | AccountReconnected

# Two accounts of ours can have had the same platform account one after the other, in streams that
# know no order between them; accounts' log does. The later word stands.
_CONNECT = """
INSERT INTO account_routes AS r (platform, platform_user_id, account_id, workspace_id, alias, active,
  connected_at, xid, position)
SELECT platform, user_id, account, workspace, alias, true, connected_at, xid, position
FROM unnest(%(platforms)b::text[], %(users)b::text[], %(accounts)b::uuid[], %(workspaces)b::uuid[],
  %(aliases)b::bool[], %(times)b::timestamptz[], %(xids)b::int8[], %(positions)b::int8[])
  AS c (platform, user_id, account, workspace, alias, connected_at, xid, position)
ON CONFLICT (platform, platform_user_id) DO UPDATE SET
  account_id = excluded.account_id, workspace_id = excluded.workspace_id,
  alias = excluded.alias, active = true, connected_at = excluded.connected_at,
  xid = excluded.xid, position = excluded.position
WHERE (r.xid, r.position) < (excluded.xid, excluded.position)
"""
_DISCONNECT = """
UPDATE account_routes r SET active = false, xid = d.xid, position = d.position
FROM unnest(%(accounts)b::uuid[], %(xids)b::int8[], %(positions)b::int8[])
  AS d (account, xid, position)
WHERE r.account_id = d.account AND (r.xid, r.position) < (d.xid, d.position)
"""


async def apply(connection: AsyncConnection, batch: Sequence[Received[Event]]) -> None:
    """The last word on each platform account wins, and on each account's end.

    First the connections, then the ends: each touches only what stood before it in the log, so
    the rows are those that one event after the other would leave.
    """
    connected: dict[tuple[str, str], tuple[Connected, bool, Envelope]] = {}
    ended: dict[int, tuple[AccountDisconnected, Cursor]] = {}
    for received in batch:
        match received.event:
            case AccountConnected() | AccountReconnected() as event:
                names = [(event.platform_user_id, False)]
                names += [(other, True) for other in event.other_ids]
                for user, alias in names:
                    connected[event.platform, user] = (event, alias, received.envelope)
            case AccountDisconnected() as event:
                ended[event.account_id.int] = (event, received.envelope.cursor)
    if connected:
        await connection.exec_driver_sql(_CONNECT, _connections(connected))
    if ended:
        await connection.exec_driver_sql(
            _DISCONNECT,
            {
                "accounts": uuids(event.account_id for event, _ in ended.values()),
                "xids": bigints(cursor.xid for _, cursor in ended.values()),
                "positions": bigints(cursor.position for _, cursor in ended.values()),
            },
        )


def _connections(
    connected: Mapping[tuple[str, str], tuple[Connected, bool, Envelope]],
) -> dict[str, Array]:
    rows = connected.values()
    return {
        "platforms": texts(platform for platform, _ in connected),
        "users": texts(user for _, user in connected),
        "accounts": uuids(event.account_id for event, _, _ in rows),
        "workspaces": uuids(event.workspace_id for event, _, _ in rows),
        "aliases": booleans(alias for _, alias, _ in rows),
        "times": times(envelope.time for _, _, envelope in rows),
        "xids": bigints(envelope.cursor.xid for _, _, envelope in rows),
        "positions": bigints(envelope.cursor.position for _, _, envelope in rows),
    }


def routes() -> Reader:
    """The projection `ingestion.routes`."""
    return projection(
        "ingestion.routes",
        topics=[TOPIC],
        events=[AccountConnected, AccountReconnected, AccountDisconnected],
        apply=apply,
        tables=["account_routes"],
    )


async def route_of(
    connection: AsyncConnection, account_id: UUID
) -> tuple[PlatformName, str] | None:
    """Platform and platform user id of a connected account; None when there is none."""
    row = (
        await connection.execute(
            text(
                "SELECT platform, platform_user_id FROM account_routes"
                " WHERE account_id = :account AND active AND NOT alias"
            ),
            {"account": account_id},
        )
    ).one_or_none()
    return None if row is None else (row.platform, row.platform_user_id)
