"""Whose account a platform's user id is: `account_routes`, fed by accounts' events."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.accounts import (
    AccountConnected,
    AccountDisconnected,
    AccountReconnected,
    PlatformName,
)
from libs.contracts.event import Event
from libs.projections.reader import Reader, Received, projection

TOPIC = "accounts.events"

# Two accounts of ours can have had the same platform account one after the other, in streams that
# know no order between them; accounts' log does. The later word stands.
_CONNECT = text(
    """
    INSERT INTO account_routes AS r
      (platform, platform_user_id, account_id, workspace_id, alias, active, connected_at, xid,
       position)
    VALUES (:platform, :user, :account, :workspace, :alias, true, :at, :xid, :position)
    ON CONFLICT (platform, platform_user_id) DO UPDATE SET
      account_id = excluded.account_id, workspace_id = excluded.workspace_id,
      alias = excluded.alias, active = true, connected_at = excluded.connected_at,
      xid = excluded.xid, position = excluded.position
    WHERE (r.xid, r.position) < (excluded.xid, excluded.position)
    """
)
_DISCONNECT = text(
    """
    UPDATE account_routes SET active = false, xid = :xid, position = :position
    WHERE account_id = :account AND (xid, position) < (:xid, :position)
    """
)


async def apply(connection: AsyncConnection, batch: Sequence[Received[Event]]) -> None:
    """One statement per event: accounts come and go rarely."""
    for received in batch:
        cursor = received.envelope.cursor
        place = {"xid": cursor.xid, "position": cursor.position}
        match received.event:
            case AccountConnected() | AccountReconnected() as event:
                names = [(event.platform_user_id, False)]
                names += [(other, True) for other in event.other_ids]
                for user, alias in names:
                    await connection.execute(
                        _CONNECT,
                        {
                            "platform": event.platform,
                            "user": user,
                            "alias": alias,
                            "account": event.account_id,
                            "workspace": event.workspace_id,
                            "at": received.envelope.time,
                            **place,
                        },
                    )
            case AccountDisconnected() as event:
                await connection.execute(_DISCONNECT, {"account": event.account_id, **place})


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
