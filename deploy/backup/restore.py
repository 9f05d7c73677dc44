"""A server brought back from the archive to a moment, on the side and out of anybody's reach."""

from __future__ import annotations

import contextlib
import gzip
import shutil
import tarfile
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType

import psycopg
from psycopg import sql

from deploy.backup.archive import Archive, Backup, databases
from deploy.backup.programs import give, run, server_user
from deploy.backup.settings import BackupError
from deploy.backup.witness import Connection

START_SECONDS = 6 * 3600
_PARTIAL = ".partial"


def choose(archive: Archive, *, to: datetime | None, backup_id: str | None) -> Backup:
    """The backup to begin with: the one named, or the newest finished before `to`.

    Raises BackupError when there is none, or when it has no log that leads to `to`.
    """
    good = [backup for backup in archive.backups() if backup.good]
    if backup_id is not None:
        for backup in good:
            if backup.id == backup_id:
                return backup
        raise BackupError(f"There is no finished backup of the name {backup_id!r}.")
    before = [backup for backup in good if to is None or backup.end <= to]
    if not before:
        raise BackupError(
            "There is no finished backup before that moment; see"
            " `python -m deploy.backup list` for what there is."
        )
    if before[-1].standalone:
        raise BackupError(
            f"Of that time only full backups are left. Name one: --backup {before[-1].id}"
        )
    return before[-1]


def unpack(archive: Archive, backup: Backup, data: Path) -> None:
    """The backup's files into the new folder `data`. Raises BackupError for a damaged one."""
    source = archive.folder / "base" / backup.id / "data"
    tars = sorted(path.name for path in source.glob("*.tar.gz"))
    if tars != ["base.tar.gz"]:
        raise BackupError(f"{source} should hold base.tar.gz alone, and holds {tars}.")
    data.mkdir(mode=0o700)
    try:
        with tarfile.open(source / "base.tar.gz", "r:gz") as tar:
            # Ours alone, and proven by its checksums; older Pythons know no filter.
            tar.extraction_filter = getattr(tarfile, "tar_filter", None)
            tar.extractall(data)  # noqa: S202
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise BackupError(f"{source / 'base.tar.gz'} cannot be unpacked: {error}") from error


def fetch_log(archive: Archive, first: str, last: str | None, into: Path) -> None:
    """The log files from `first` to `last`, unpacked into the new folder `into`.

    `last` None takes all, with the one that is just being received. Names compare without their
    timeline. Raises BackupError for a damaged file.
    """
    into.mkdir(mode=0o700)
    for path in _log_files(archive.folder):
        name = path.name.removesuffix(_PARTIAL)
        history = name.endswith(".history")
        if not history and (name[8:] < first[8:] or (last is not None and name[8:] > last[8:])):
            continue
        try:
            with path.open("rb") as file:
                packed = file.read(2) == b"\x1f\x8b"
            with (
                (gzip.open if packed else open)(path, "rb") as source,
                (into / name).open("wb") as target,
            ):
                shutil.copyfileobj(source, target)
        except FileNotFoundError:
            continue  # archived while we looked; the copy in the archive follows
        except (zlib.error, EOFError, OSError) as error:
            raise BackupError(f"{path} cannot be unpacked: {error}") from error


def _log_files(folder: Path) -> list[Path]:
    """What is being received first, so that the archive's whole file of that name replaces it."""
    received = sorted((folder / "streaming").glob("0*"), key=lambda path: path.suffix != _PARTIAL)
    archived = [path for path in (folder / "wals").rglob("0*") if path.is_file()]
    return received + sorted(archived)


class RestoredServer:
    """A restored PostgreSQL that listens only on a socket in a folder of its own.

    A context manager: inside, the server runs and has been restored.
    """

    def __init__(self, archive: Archive, data: Path, scratch: Path) -> None:
        """`data` as `prepare_data` left it; `scratch` for the socket and the server's log."""
        self.data = data
        self._programs = archive.programs
        self._superuser = archive.superuser
        self._scratch = scratch
        self._user = server_user()
        self.log = scratch / "restore.log"

    def __enter__(self) -> RestoredServer:
        """Start and wait until the moment asked for is reached. Raises BackupError."""
        hba = self._scratch / "hba.conf"
        hba.write_text("local all all trust\n")
        for path in (self._scratch, self.data):
            give(path, self._user)
        options = {
            "listen_addresses": "",
            "unix_socket_directories": self._scratch,
            "hba_file": hba,
            # Answers nobody until it is where it should be, and asks for no setting of the other's.
            "hot_standby": "off",
            "archive_mode": "off",
            "max_connections": "50",
            "timezone": "UTC",
        }
        try:
            self._control(
                *("start", "-w", "-t", str(START_SECONDS), "-l", str(self.log), "-o"),
                " ".join(f"-c {name}='{value}'" for name, value in options.items()),
            )
            self._wait()
        except BackupError as error:
            raise BackupError(_why(self.log, str(error))) from error
        return self

    def _wait(self) -> None:
        """Until it takes connections, which is when it has reached the moment; or until it ends."""
        while True:
            try:
                with self.connect():
                    return
            except psycopg.OperationalError:
                self._control("status")  # fails where the server is no more
                time.sleep(0.1)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._control("stop", "-w", "-m", "fast")

    @contextmanager
    def connect(self, database: str = "postgres") -> Iterator[Connection]:
        """A connection of the superuser; autocommit."""
        with psycopg.connect(
            host=str(self._scratch), user=self._superuser, dbname=database, autocommit=True
        ) as connection:
            yield connection

    def examine(self) -> None:
        """Have PostgreSQL check the pages of every table and index. Raises BackupError."""
        run(
            [
                *(self._programs / "pg_amcheck", "--all", "--install-missing=pg_catalog"),
                *("--heapallindexed", "-j", "2", "-h", self._scratch, "-U", self._superuser),
            ],
            user=self._user,
            failing="pg_amcheck found damage:",
        )
        with self.connect() as connection:
            names = ["postgres", "template1", *databases(connection)]
        for name in names:
            with self.connect(name) as connection:
                connection.execute("DROP EXTENSION IF EXISTS amcheck")

    def close_doors(self) -> None:
        """Let no service in, only superusers: see `reconcile.open_doors`.

        A service that read or wrote before the broker agrees would mix two histories.
        """
        with self.connect() as connection:
            for name in databases(connection):
                connection.execute(
                    sql.SQL("ALTER DATABASE {} CONNECTION LIMIT 0").format(sql.Identifier(name))
                )
            # They would hold for the next recovery, too.
            for name in ("restore_command", "recovery_target_time", "recovery_target"):
                connection.execute(sql.SQL("ALTER SYSTEM RESET {}").format(sql.SQL(name)))
            connection.execute("ALTER SYSTEM RESET recovery_target_action")

    def _control(self, *arguments: str) -> None:
        run(
            [self._programs / "pg_ctl", "-D", self.data, *arguments],
            user=self._user,
            failing="pg_ctl failed:",
        )


def prepare_data(
    archive: Archive, backup: Backup, *, to: datetime | None, data: Path, log: Path
) -> None:
    """Unpack the backup and the log into the new folders `data` and `log`, ready to be started.

    Without `to`, a backup that still has its log goes as far as that reaches. Raises BackupError.
    """
    first, its_end = archive.log_range(backup)
    last = its_end if backup.standalone else _end_of_use(archive, to)
    unpack(archive, backup, data)
    fetch_log(archive, first, last, log)
    target = (
        f"recovery_target_time = '{to.isoformat()}'\n"
        if to is not None
        else "recovery_target = 'immediate'\n"
        if backup.standalone
        else ""
    )
    with (data / "postgresql.auto.conf").open("a") as settings:
        settings.write(
            f'restore_command = \'cp "{log}/%f" "%p"\'\n{target}'
            "recovery_target_action = 'promote'\n"
        )
    (data / "recovery.signal").touch()


def _end_of_use(archive: Archive, to: datetime | None) -> str | None:
    """The last log file needed to reach `to`: the end of the first backup finished after it."""
    if to is None:
        return None
    later = [other for other in archive.backups() if other.good and other.end > to]
    return archive.log_range(later[0])[1] if later else None


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder that the restored server's user can reach, removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="rookery-restore-"))
    try:
        yield folder
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)


def _why(log: Path, otherwise: str) -> str:
    text = log.read_text(errors="replace") if log.exists() else ""
    if "recovery ended before configured recovery target was reached" in text:
        reached = [line for line in text.splitlines() if "last completed transaction" in line]
        return (
            "The archive's log ends before that moment. Ask for an earlier one, or for none to get"
            " all there is.\n" + "\n".join(reached)
        )
    return f"{otherwise}\n" + "\n".join(text.splitlines()[-15:])
