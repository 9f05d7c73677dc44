"""When backups are due, what is kept, and the process that does it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]
import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy.backup.archive import Archive, Backup
from deploy.backup.retention import to_keep, to_release
from deploy.backup.schedule import due
from deploy.backup.settings import ROOT
from libs.testing.servers import ServerProcess, free_port
from libs.testing.serving import until

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)


def backup(days_old: float, *, status: str = "DONE", standalone: bool = False) -> Backup:
    return Backup(f"{days_old:g} days old", status, NOW - timedelta(days=days_old), standalone)


@pytest.mark.parametrize(
    ("newest", "expected"),
    [
        (None, True),
        (backup(10 / 24 - 0.01), False),  # after two o'clock today
        (backup(10 / 24 + 0.01), True),
        (backup(0.1, status="FAILED"), True),
    ],
)
def test_a_full_backup_is_due_once_after_the_time_of_day(
    newest: Backup | None, expected: bool
) -> None:
    assert due([newest] if newest else [], NOW, "02:00") is expected


def test_before_the_time_of_day_yesterdays_backup_is_enough() -> None:
    assert not due([backup(0.9)], NOW, "14:00")
    assert due([backup(1.1)], NOW, "14:00")


def test_what_the_log_no_longer_needs_is_kept_alone_for_thirty_days() -> None:
    days = [backup(n + 0.4, standalone=n > 8) for n in reversed(range(32))]
    # The log of the last seven days begins at the one of 7.4 days; Barman drops the one of 9.4.
    assert to_keep(days, NOW) == ["8.4 days old"]
    assert to_release(days, NOW) == ["31.4 days old", "30.4 days old"]


def test_a_failed_backup_does_not_take_the_place_of_a_good_one() -> None:
    assert to_keep([backup(8), backup(7.2, status="FAILED"), backup(6)], NOW) == []


@pytest.fixture
def process(archive: Archive, folder: Path) -> Iterator[tuple[ServerProcess, str]]:
    """`python -m deploy.backup run`."""
    port = free_port()
    process = ServerProcess("backup", folder / "backup.log")
    process.start(
        [sys.executable, "-m", "deploy.backup", "run"],
        env={**os.environ, "BACKUP_HOME": str(archive.home), "BACKUP_METRICS_PORT": str(port)},
        cwd=ROOT,
    )
    yield process, f"http://127.0.0.1:{port}/metrics"
    process.kill()


async def test_the_process_backs_up_at_once_says_so_and_stops_cleanly(
    archive: Archive, process: tuple[ServerProcess, str]
) -> None:
    child, url = process
    began = datetime.now(UTC).timestamp()

    async def figures() -> dict[str, float]:
        async with httpx.AsyncClient(trust_env=False) as http:
            try:
                answer = await http.get(url)
            except httpx.TransportError:
                return {}
        return {
            sample.name + "".join(sample.labels.values()): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }

    async def backed_up() -> bool:
        found = await figures()
        return (
            found.get("rookery_backup_last_success_timestamp_seconds", 0) > began - 1
            and found.get("rookery_backup_wal_last_archived_timestamp_seconds", 0) > began
            and found.get("rookery_backup_disk_free_bytes", 0) > 0
        )

    await until(backed_up, timeout=90, what="a backup and its figures")
    failed = {
        name: value
        for name, value in (await figures()).items()
        if "check_failed" in name and value and "minimum_redundancy" not in name
    }
    assert not failed, child.tail()
    child.stop(signal.SIGTERM, timeout=30)
    assert child.returncode == 0, child.tail()
    receiving = [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(archive.home) in " ".join(process.info["cmdline"] or [])
    ]
    assert not receiving
