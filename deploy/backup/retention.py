"""How long what is kept: full backups 30 days, the log for any moment of the last 7.

Barman's recovery window keeps the log and the full backups for the same time. Full backups beyond
it are therefore marked to be kept on their own, with just the log that makes them consistent.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Protocol

FULL_DAYS = 30
LOG_DAYS = 7


class Kept(Protocol):
    """A full backup."""

    @property
    def id(self) -> str:
        """Barman's name of it."""

    @property
    def good(self) -> bool:
        """Whether it was finished."""

    @property
    def end(self) -> datetime:
        """When it was finished."""

    @property
    def standalone(self) -> bool:
        """Whether it is kept on its own."""


def to_keep(backups: Sequence[Kept], now: datetime) -> list[str]:
    """Ids of those to be kept on their own from now on.

    One is needed for the log's window until the next one is older than that; Barman would drop it
    a day later.
    """
    good = sorted((backup for backup in backups if backup.good), key=lambda backup: backup.end)
    return [
        older.id
        for older, newer in pairwise(good)
        if newer.end <= now - timedelta(days=LOG_DAYS)
        and older.end > now - timedelta(days=FULL_DAYS)
        and not older.standalone
    ]


def to_release(backups: Sequence[Kept], now: datetime) -> list[str]:
    """Ids of those that were kept on their own for long enough; Barman then drops them."""
    return [
        backup.id
        for backup in backups
        if backup.standalone and backup.end <= now - timedelta(days=FULL_DAYS)
    ]
