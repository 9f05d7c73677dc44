"""The process that makes backups: it receives the log, backs up each day, checks, and says so."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import structlog
from prometheus_client import start_http_server
from psycopg.conninfo import make_conninfo

from deploy.backup import metrics, retention, streaming, witness
from deploy.backup.archive import Archive, Backup, databases
from deploy.backup.settings import BackupError, BackupSettings

log = structlog.get_logger(__name__)

TEND_SECONDS = 60.0
CHECK_SECONDS = 3600.0
# Failing things are looked at more often, so that an alert ends when its cause does.
RECHECK_SECONDS = 300.0


class Schedule:
    """Beats every ten seconds; Barman's `cron` and the disk every minute; checks every hour; a
    full backup each day, at once where there is none.

    Nothing that fails ends it: it is logged, shown as `rookery_backup_check_failed`, tried again.
    """

    def __init__(self, archive: Archive, settings: BackupSettings) -> None:
        """Start nothing."""
        self._archive = archive
        self._at = settings.at
        self._beats = streaming.Beats()
        self._failed: dict[str, str] = {}
        self._backups: list[Backup] = []

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set, then stop receiving; blocks."""
        beating = threading.Thread(target=self._beat, args=[stop], daemon=True)
        beating.start()
        checked = 0.0
        while not stop.is_set():
            began = time.monotonic()
            self.tend()
            every = RECHECK_SECONDS if self._failed else CHECK_SECONDS
            if time.monotonic() - checked > every or checked == 0.0:
                self.check()
                checked = time.monotonic()
            stop.wait(max(1.0, TEND_SECONDS - (time.monotonic() - began)))
        self._archive.stop_receiving()
        beating.join()

    def tend(self) -> None:
        """What is due this minute."""
        now = datetime.now(UTC)
        self._try("catalogue", self._look_and_keep, now)
        self._try("cron", self._archive.tend)
        if due(self._backups, now, self._at) and self._try("backup", self._back_up):
            self.check()
        metrics.show_disk(self._archive.home)
        self._try("report", metrics.show_drill, self._archive.home / "drill.json")
        metrics.show_failed(self._failed)

    def check(self) -> None:
        """Barman's own checks, and whether the newest backup's files are as they were made."""
        for name in [name for name in self._failed if name.startswith("barman_")]:
            del self._failed[name]
        self._try("check", self._barman_checks)
        self._try("verify", self._verify)
        metrics.show_failed(self._failed)

    def _look_and_keep(self, now: datetime) -> None:
        self._backups = self._archive.backups()
        metrics.show_backups(self._backups)
        for name in retention.to_keep(self._backups, now):
            self._archive.keep(name)
        for name in retention.to_release(self._backups, now):
            self._archive.release(name)

    def _back_up(self) -> None:
        log.info("full backup begins")
        write_manifest(self._archive)
        self._archive.back_up()
        self._look_and_keep(datetime.now(UTC))
        log.info("full backup done", id=self._backups[-1].id)

    def _barman_checks(self) -> None:
        for name, hint in self._archive.check().items():
            self._failed[f"barman_{name}"] = hint
            log.error("check failed", check=name, hint=hint)

    def _verify(self) -> None:
        good = [backup for backup in self._backups if backup.good]
        if good:
            self._archive.verify(good[-1])

    def _beat(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self._try("beat", self._beat_while_connected, stop)
            stop.wait(witness.BEAT_SECONDS)

    def _beat_while_connected(self, stop: threading.Event) -> None:
        with psycopg.connect(self._archive.conninfo, autocommit=True, connect_timeout=5) as server:
            self._failed.pop("beat", None)
            while not stop.is_set():
                self._beats.write(server)
                stop.wait(witness.BEAT_SECONDS / 2)
                found = streaming.look(server)
                metrics.show_streaming(found, self._beats.received(found.written))
                stop.wait(witness.BEAT_SECONDS / 2)

    def _try(self, name: str, work: Callable[..., None], *arguments: Any) -> bool:
        try:
            work(*arguments)
        except (BackupError, psycopg.Error, OSError, ValueError) as error:
            self._failed[name] = str(error)
            log.warning("backup work failed", work=name, error=str(error)[-500:])
            return False
        self._failed.pop(name, None)
        return True


def due(backups: list[Backup], now: datetime, at: str) -> bool:
    """Whether the last time of day `at` (HH:MM, UTC) has passed without a full backup since."""
    hour, minute = map(int, at.split(":"))
    moment = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if moment > now:
        moment -= timedelta(days=1)
    good = [backup for backup in backups if backup.good]
    return not good or good[-1].end < moment


def write_manifest(archive: Archive) -> None:
    """Write down what every log holds now; reads all of them."""
    with psycopg.connect(archive.conninfo, autocommit=True) as server:
        witness.forget_old(server)
        beat = witness.beat(server)
        for database in databases(server):
            with psycopg.connect(
                make_conninfo(archive.conninfo, dbname=database), autocommit=True
            ) as connection:
                for table in witness.logs(connection):
                    content = witness.content(connection, table, beat.snapshot)
                    server.execute(
                        "INSERT INTO rookery_backup.manifests VALUES (%s, %s, %s, %s, %s, %s)",
                        [beat.moment, beat.snapshot, database, table, content.rows, content.hash],
                    )


def serve(settings: BackupSettings) -> None:
    """Let Prometheus ask; returns at once."""
    start_http_server(settings.metrics_port, settings.metrics_host)
