"""What the four `translate` modules share: dispatch by type, and the reading of a poll's frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypedDict
from uuid import UUID

from pydantic import ValidationError

from libs.contracts.accounts import PlatformName
from libs.contracts.event import Event
from libs.platforms.base import Raw, Untranslatable
from libs.platforms.shapes import iso_time

Translator = Callable[[Raw], Event | None]


class About(TypedDict):
    """The fields that every event of ingestion has."""

    account_id: UUID
    workspace_id: UUID
    platform: PlatformName
    occurred_at: datetime


def about(raw: Raw, occurred_at: datetime | None = None) -> About:
    """Those fields; the time of receipt stands in where the platform gives no time."""
    return About(
        account_id=raw.account_id,
        workspace_id=raw.workspace_id,
        platform=raw.platform,
        occurred_at=occurred_at or raw.received_at,
    )


def polled(raw: Raw) -> tuple[About, dict[str, Any]]:
    """The common fields and the named responses of a poll's payload; raises Untranslatable."""
    responses = raw.payload.get("responses")
    if not isinstance(responses, dict):
        raise Untranslatable("a poll without responses")
    return about(raw, iso_time(raw.payload.get("observed_at"))), responses


def translate_by(table: Mapping[str, Translator], raw: Raw) -> Event | None:
    """The translation by the type's own function. Raises Untranslatable, and nothing else."""
    translator = table.get(raw.type)
    if translator is None:
        raise Untranslatable(f"no translation for this type of {raw.platform} event")
    try:
        return translator(raw)
    except ValidationError as error:
        fields = sorted({str(problem["loc"][0]) for problem in error.errors() if problem["loc"]})
        raise Untranslatable(f"the contract refuses {', '.join(fields)}") from None
