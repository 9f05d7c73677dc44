"""What a row of the log means: decided on its way out, so that a corrected parser mends history."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import orjson

from libs.contracts.accounts import PlatformName
from libs.contracts.envelope import Cursor, Envelope
from libs.contracts.event import encode
from libs.eventlog.log import metadata_of
from libs.eventlog.source import Outgoing, Row, Source, Untold
from libs.platforms.base import Platform, Raw, Untranslatable

TOPIC = "ingestion.events"


def source(platforms: Mapping[PlatformName, Platform]) -> Source:
    """Ingestion's log for the relay: rows become the platform's translation of them.

    A row without words for it becomes no message; one that cannot be understood is Untold.
    """

    def to_message(row: Row, cursor: Cursor) -> Outgoing | None:
        raw = Raw(
            id=UUID(str(row.id)),
            workspace_id=UUID(str(row.workspace_id)),
            account_id=UUID(str(row.social_account_id)),
            platform=row.platform,
            type=row.type,
            payload=orjson.loads(row.payload),
            received_at=row.received_at,
        )
        try:
            event = platforms[raw.platform].translate(raw)
        except Untranslatable as error:
            raise Untold(str(error)) from None
        if event is None:
            return None
        envelope = Envelope(
            id=raw.id,
            type=event.type,
            source="/ingestion",
            time=raw.received_at,
            stream=f"account-{raw.account_id}",
            workspace_id=raw.workspace_id,
            cursor=cursor,
            metadata=metadata_of(row.metadata),
        )
        return Outgoing(envelope, encode(event))

    return Source(
        name="ingestion",
        table="events",
        topic=TOPIC,
        columns="e.id, e.workspace_id, e.social_account_id, e.platform, e.type,"
        " e.payload::text AS payload, e.metadata, e.received_at",
        to_message=to_message,
    )
