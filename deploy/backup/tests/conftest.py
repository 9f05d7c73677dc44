"""A server to be backed up and destroyed, and an archive of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.backup.archive import Archive
from deploy.backup.programs import barman_program
from deploy.backup.settings import BackupError, BackupSettings
from libs.chassis.provision import ServiceUrls
from libs.testing.fixtures import scratch_folder
from libs.testing.servers import PostgresServer
from libs.testing.spine import build_spine

OPTIONS = {
    "fsync": "off",
    "full_page_writes": "on",
    "archive_timeout": "60",
    "max_slot_wal_keep_size": "64MB",
}


@pytest.fixture(scope="session")
def barman() -> Path:
    """Barman, installed at the first use; without a registry the tests are skipped."""
    try:
        return barman_program(BackupSettings())
    except BackupError as error:
        pytest.skip(f"needs Barman: {error}")


@pytest.fixture
def folder(barman: Path) -> Iterator[Path]:
    """A folder of the test's own, which the server's user can reach."""
    with scratch_folder() as path:
        path.chmod(0o755)
        yield path


@pytest.fixture
def live(folder: Path) -> Iterator[PostgresServer]:
    """The server that is backed up."""
    server = PostgresServer(folder / "postgres", options=OPTIONS)
    server.start()
    try:
        yield server
    finally:
        server.stop("immediate")


@pytest.fixture
def log(live: PostgresServer) -> ServiceUrls:
    """A service's database on it."""
    return build_spine(live.url)


@pytest.fixture
def archive(folder: Path, live: PostgresServer, log: ServiceUrls) -> Iterator[Archive]:
    """An archive of `live` that receives its log; without a full backup yet."""
    archive = Archive(BackupSettings(home=folder / "archive"))
    archive.prepare(live.url)
    archive.start_receiving()
    try:
        yield archive
    finally:
        archive.stop_receiving()
