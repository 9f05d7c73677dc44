"""What makes a drill, and the checks between drills, fail."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from prometheus_client import REGISTRY

from deploy.backup import metrics, report, streaming, witness
from deploy.backup.archive import Archive
from deploy.backup.drill import drill
from deploy.backup.schedule import Schedule, write_manifest
from deploy.backup.settings import BackupSettings
from deploy.backup.tests import scene
from libs.chassis.provision import ServiceUrls
from libs.testing.servers import PostgresServer
from libs.testing.serving import until


def shown(name: str, **labels: str) -> float | None:
    """What Prometheus would be told."""
    return REGISTRY.get_sample_value(name, labels)


def flip(path: Path) -> bytes:
    """Change some bytes in the middle of a file; gives what it held."""
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(
        whole[:middle] + bytes(b ^ 255 for b in whole[middle:][:64]) + whole[middle + 64 :]
    )
    return whole


def test_damage_to_a_backup_or_its_log_is_noticed(
    live: PostgresServer, log: ServiceUrls, archive: Archive, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.Writer(log.worker).write(5)
    write_manifest(archive)
    archive.back_up()
    scene.Writer(log.worker).write(5)
    schedule = Schedule(archive, BackupSettings(home=archive.home))
    schedule.tend()
    schedule.check()
    assert shown("rookery_backup_check_failed", check="verify") in (None, 0)

    [base] = archive.folder.glob("base/*/data/base.tar.gz")
    whole = flip(base)
    schedule.check()
    assert shown("rookery_backup_check_failed", check="verify") == 1
    found = drill(archive)
    assert not found.passed
    assert "verify-backup failed" in (found.error or "")
    report.show(found)
    assert "did NOT pass" in capsys.readouterr().out
    metrics.show_drill(archive.home / "drill.json")
    assert shown("rookery_backup_check_failed", check="drill") == 1
    assert json.loads((archive.home / "drill.json").read_text())["passed"] is False

    base.write_bytes(whole)
    schedule.check()
    assert shown("rookery_backup_check_failed", check="verify") == 0
    [segment] = [path for path in archive.folder.glob("wals/*/*") if path.stat().st_size > 1000][:1]
    whole = flip(segment)
    found = drill(archive)
    assert f"{segment.name} cannot be unpacked" in (found.error or "")
    segment.write_bytes(whole)

    with psycopg.connect(live.url, autocommit=True) as connection:
        changed = connection.execute("UPDATE rookery_backup.manifests SET hash = hash + 1")
        assert changed.rowcount == 1
    asyncio.run(scene.received(live))
    found = drill(archive)
    failed = [check.name for check in found.checks if check.passed is False]
    assert failed == ["rows and hashes as in the manifest"]

    found = drill(archive, to=datetime.now(UTC) + timedelta(hours=1))
    assert "ends before that moment" in (found.error or "")
    found = drill(archive, to=datetime.now(UTC) - timedelta(hours=1))
    assert "no finished backup before that moment" in (found.error or "")


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of 96 MiB where the archive will be."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small disk")
    disk = folder / "archive"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96m,mode=700", "tmpfs", str(disk)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"needs to mount a small disk: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_archive_disk_is_noticed_and_postgresql_goes_on(
    small_disk: Path, live: PostgresServer, log: ServiceUrls, archive: Archive
) -> None:
    writer = scene.Writer(log.worker)
    written = writer.write(1)
    archive.back_up()
    schedule = Schedule(archive, BackupSettings(home=archive.home))
    schedule.check()
    with psycopg.connect(live.url, autocommit=True) as server:
        filler = small_disk / "filler"
        free = os.statvfs(small_disk)
        filler.write_bytes(bytes(max(0, (free.f_bavail - 256) * free.f_frsize)))

        def fill_log(megabytes: int) -> None:
            for _ in range(megabytes):
                server.execute(
                    "SELECT pg_logical_emit_message(false, 'test', repeat('x', 1024 * 1024))"
                )

        fill_log(20)  # more than one file
        asyncio.run(
            until(lambda: streaming.look(server).written is None, timeout=30, what="no receiver")
        )
        schedule.tend()
        schedule.check()
        assert shown("rookery_backup_check_failed", check="barman_receive_wal_running") == 1
        assert (shown("rookery_backup_disk_free_bytes") or 0) < 2 * 1024 * 1024
        written |= writer.write(1)  # PostgreSQL does not wait for the archive

        # What the server keeps for the archive is bounded, too.
        fill_log(120)
        server.execute("CHECKPOINT")
        metrics.show_streaming(streaming.look(server), None)
        assert shown("rookery_backup_slot_lost") == 1
        written |= writer.write(1)

        filler.unlink()
        archive.begin_anew()
        written |= writer.write(1)
        witness.beat(server)
        metrics.show_streaming(streaming.look(server), None)
        assert shown("rookery_backup_slot_lost") == 0
    asyncio.run(scene.received(live))
    schedule.check()
    assert shown("rookery_backup_check_failed", check="barman_receive_wal_running") == 0
    found = drill(archive)
    assert found.passed, found
    assert {table.rows for table in found.tables if table.hash} == {len(written)}
