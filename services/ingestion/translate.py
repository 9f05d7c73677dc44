"""What a row of the log means: decided on its way out, so that a corrected parser mends history."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from libs.contracts.accounts import PlatformName
from libs.contracts.event import encode
from libs.eventlog.source import Row, Source, Untold, message
from libs.messaging.producer import Message
from libs.platforms.base import Platform, Raw, Untranslatable

TOPIC = "ingestion.events"

# What a header says as text is made text by PostgreSQL: of a UUID, Python takes ten times as long.
_COLUMNS = """
  e.id, e.workspace_id, e.social_account_id, e.platform, e.type, e.payload::text AS payload,
  e.metadata::text AS metadata, e.received_at, e.id::text AS id_text,
  e.workspace_id::text AS workspace_text, 'account-' || e.social_account_id AS stream
"""


def source(platforms: Mapping[PlatformName, Platform]) -> Source:
    """Ingestion's log for the relay: rows become the platform's translation of them.

    A row without words for it becomes no message; one that cannot be understood is Untold.
    """

    def to_message(row: Row) -> Message | None:
        raw = Raw(
            id=row.id,
            workspace_id=row.workspace_id,
            account_id=row.social_account_id,
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
        return message(
            id=row.id_text,
            type=event.type,
            source="/ingestion",
            time=row.received_at,
            stream=row.stream,
            workspace_id=row.workspace_text,
            metadata=row.metadata,
            data=encode(event),
        )

    return Source(
        name="ingestion",
        table="events",
        topic=TOPIC,
        columns=_COLUMNS,
        to_message=to_message,
    )
