"""Restore on the side, prove it, measure it, throw it away."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from aiokafka.errors import KafkaError
from psycopg.conninfo import make_conninfo

from deploy.backup import checks, reconcile
from deploy.backup.archive import Archive
from deploy.backup.checks import Check, TableContent
from deploy.backup.restore import RestoredServer, choose, prepare_data, scratch_folder
from deploy.backup.settings import BackupError
from libs.messaging.config import BrokerConfig


@dataclass
class Report:
    """What a drill saw. Times are the servers', seconds are ours.

    `rpo_seconds` is how much of the time before the moment asked for (or before the drill, where
    none was) did not come back: moment less last commit. It is at most the time between two beats
    where nobody was writing.
    """

    started: datetime
    asked_for: datetime | None
    backup: str = ""
    reached: datetime | None = None
    rpo_seconds: float | None = None
    rto_seconds: float | None = None
    phases: dict[str, float] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    tables: list[TableContent] = field(default_factory=list)
    error: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the restore came about and no check failed."""
        return self.error is None and all(check.passed is not False for check in self.checks)

    def write(self, path: Path) -> None:
        """As JSON."""
        document = {**asdict(self), "passed": self.passed}
        path.write_text(json.dumps(document, indent=2, default=str) + "\n")


def drill(
    archive: Archive,
    *,
    to: datetime | None = None,
    backup_id: str | None = None,
    broker: BrokerConfig | None = None,
    keep: Path | None = None,
) -> Report:
    """Restore to `to` (or all there is) in a scratch folder, check, and say how it went; blocks.

    Never touches the live server but to read it. `keep` is a new folder that the restored data
    goes to, its doors closed, ready to be started; without it nothing is left. Raises nothing that
    a restore can cause: see `Report.error`. The report is also written to the archive's
    `drill.json`, where the exporter finds it.
    """
    report = Report(started=datetime.now(UTC), asked_for=to)
    try:
        with scratch_folder() as scratch:
            _drill(archive, report, scratch, backup_id=backup_id, broker=broker, keep=keep)
    except (BackupError, psycopg.Error, OSError) as error:
        report.error = str(error) or type(error).__name__
    report.write(archive.home / "drill.json")
    return report


def _drill(
    archive: Archive,
    report: Report,
    scratch: Path,
    *,
    backup_id: str | None,
    broker: BrokerConfig | None,
    keep: Path | None,
) -> None:
    began = time.monotonic()
    backup = choose(archive, to=report.asked_for, backup_id=backup_id)
    report.backup = backup.id
    with _phase(report, "verify the backup"):
        archive.verify(backup)
    report.checks.append(Check("files as in the backup's manifest", True, f"backup {backup.id}"))
    data = keep or scratch / "data"
    with _phase(report, "unpack"):
        prepare_data(archive, backup, to=report.asked_for, data=data, log=scratch / "wal")
    replaying = time.monotonic()
    with RestoredServer(archive, data, scratch) as server:
        report.phases["replay"] = time.monotonic() - replaying
        report.rto_seconds = time.monotonic() - began
        with server.connect() as connection:
            report.reached = checks.moment_reached(connection)
        if report.reached is not None and not backup.standalone:
            wanted = report.asked_for or report.started
            report.rpo_seconds = max(0.0, (wanted - report.reached).total_seconds())
        with _phase(report, "check"):
            _examine(archive, server, report)
        if broker is not None:
            report.checks.append(_against(broker, server, scratch, archive.superuser))
        if keep is not None:
            server.close_doors()


def _examine(archive: Archive, server: RestoredServer, report: Report) -> None:
    add = report.checks.append
    try:
        server.examine()
        add(Check("pages and indexes (pg_amcheck)", True, "no damage"))
    except BackupError as error:
        add(Check("pages and indexes (pg_amcheck)", False, str(error)))
    add(checks.nothing_later(server.connect, report.asked_for))
    report.tables = checks.tables(server.connect)
    add(checks.as_in_manifest(server.connect))
    report.checks.extend(checks.as_on_live(server.connect, _live(archive)))
    add(checks.order_fence(server.connect))
    add(checks.readers_behind(server.connect))


def _live(archive: Archive) -> checks.Open:
    def connect(database: str) -> psycopg.Connection[Any]:
        return psycopg.connect(
            make_conninfo(archive.conninfo, dbname=database, connect_timeout=3), autocommit=True
        )

    return connect


def _against(broker: BrokerConfig, server: RestoredServer, scratch: Path, superuser: str) -> Check:
    """Whether the broker holds events that the restored logs do not; either is fine in a drill."""
    name = "restored relays against the broker"
    urls = {
        relay: make_conninfo(host=str(scratch), user=superuser, dbname=database)
        for relay, database in checks.relays(server.connect)
    }
    try:
        found = asyncio.run(reconcile.compare(urls, broker))
    except (KafkaError, OSError, TimeoutError) as error:
        return Check(name, None, f"the broker did not answer: {type(error).__name__}")
    ahead = [f"{item.topic} by {item.events}" for item in found if item.events]
    if not ahead:
        return Check(name, True, f"{len(found)} topics, none ahead of its log")
    return Check(name, True, f"ahead: {', '.join(ahead)}; a real restore needs `reconcile`")


@contextmanager
def _phase(report: Report, name: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    report.phases[name] = time.monotonic() - began
