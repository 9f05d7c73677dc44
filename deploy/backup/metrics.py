"""What the backup process says of itself to Prometheus; `alerts.yaml` stands on these."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from prometheus_client import Gauge

from deploy.backup.archive import Backup
from deploy.backup.streaming import Streaming

LAST_SUCCESS = Gauge(
    "rookery_backup_last_success_timestamp_seconds", "End of the newest finished full backup"
)
LAST_ARCHIVED = Gauge(
    "rookery_backup_wal_last_archived_timestamp_seconds",
    "Everything committed before this time has been received",
)
CHECK_FAILED = Gauge("rookery_backup_check_failed", "1 where a check fails now", ["check"])
DISK_FREE = Gauge("rookery_backup_disk_free_bytes", "Free space where the archive is")
DISK_SIZE = Gauge("rookery_backup_disk_size_bytes", "Size of the disk where the archive is")
SLOT_RETAINED = Gauge(
    "rookery_backup_slot_retained_bytes", "Log that the server keeps because it was not received"
)
SLOT_LOST = Gauge("rookery_backup_slot_lost", "1 where the server has dropped log not received")
LAST_DRILL = Gauge(
    "rookery_backup_last_drill_timestamp_seconds", "Start of the last restore drill that passed"
)
DRILL_RTO = Gauge("rookery_backup_drill_rto_seconds", "How long that restore took")

_seen: set[str] = set()


def show_backups(backups: Sequence[Backup]) -> None:
    """Of all full backups, the newest that was finished."""
    LAST_SUCCESS.set(max((b.end.timestamp() for b in backups if b.good), default=0))


def show_failed(checks: Mapping[str, str]) -> None:
    """Set those to 1 and all seen before to 0. Names come from Barman and from us."""
    _seen.update(checks)
    for name in _seen:
        CHECK_FAILED.labels(name).set(name in checks)


def show_streaming(streaming: Streaming, archived: datetime | None) -> None:
    """The server's side of the slot, and up to which time all has been received."""
    SLOT_RETAINED.set(streaming.retained_bytes)
    SLOT_LOST.set(streaming.lost)
    if archived is not None:
        LAST_ARCHIVED.set(archived.timestamp())


def show_disk(folder: Path) -> None:
    """The disk the archive is on."""
    usage = shutil.disk_usage(folder)
    DISK_FREE.set(usage.free)
    DISK_SIZE.set(usage.total)


def show_drill(report: Path) -> None:
    """The last drill, by the report it left; a failed one shows as a failed check."""
    if not report.exists():
        return
    document = json.loads(report.read_text())
    CHECK_FAILED.labels("drill").set(not document["passed"])
    if document["passed"]:
        LAST_DRILL.set(datetime.fromisoformat(document["started"]).timestamp())
        DRILL_RTO.set(document["rto_seconds"] or 0)
