"""What polls and imports saw, on its way into the log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.chassis import strict_json
from libs.contracts.accounts import PlatformName
from libs.contracts.envelope import Metadata
from libs.eventlog.log import metadata_json
from libs.platforms.base import Observation
from services.ingestion.append import Appended, Item, append, event_id
from services.ingestion.quarantine import Refused, refused, set_aside


async def append_observations(
    connection: AsyncConnection,
    seen: Sequence[tuple[Observation, datetime]],
    *,
    account_id: UUID,
    platform: PlatformName,
    platform_user_id: str,
    metadata: Metadata,
) -> Appended:
    """Append what was seen of one account, each with the time it is recorded under.

    What jsonb cannot hold goes into quarantine. Idempotent by the observations' keys. Nothing is
    written once the account is disconnected. Takes a transaction of the worker role.
    """
    trace = metadata_json(metadata)
    items: list[Item] = []
    bad: list[Refused] = []
    for observation, recorded_at in seen:
        item = Item(
            # By our account and not the platform's: one that moves to another workspace is
            # observed anew there.
            id=event_id(platform, str(account_id), observation.key),
            platform=platform,
            platform_user_id=platform_user_id,
            type=observation.type,
            payload=orjson.dumps(observation.payload),
            metadata=trace,
            received_at=recorded_at,
        )
        try:
            strict_json.loads(item.payload)
        except strict_json.BadJson as error:
            bad.append(refused(item, error.reason))
        else:
            items.append(item)
    appended = await append(connection, items)
    await set_aside(connection, bad)
    return appended
