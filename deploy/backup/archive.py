"""Barman's archive of one PostgreSQL server: configured, called, read."""

from __future__ import annotations

import configparser
import getpass
import json
import os
import secrets
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from deploy.backup import witness
from deploy.backup.programs import barman_program, postgres_programs
from deploy.backup.retention import FULL_DAYS, LOG_DAYS
from deploy.backup.settings import BackupError, BackupSettings

SERVER = "rookery"
ROLE = "rookery_backup"
SLOT = "rookery_backup"
START_SECONDS = 60.0
_FUNCTIONS = (
    "pg_backup_start(text, boolean)",
    "pg_backup_stop(boolean)",
    "pg_switch_wal()",
    "pg_create_restore_point(text)",
)


@dataclass(frozen=True)
class Backup:
    """A full backup. `standalone` ones have no log but what makes them consistent."""

    id: str
    status: str
    end: datetime
    standalone: bool

    @property
    def good(self) -> bool:
        """Whether it was finished."""
        return self.status == "DONE"


class Archive:
    """The folder `settings.home` and what Barman does in it. Every call blocks."""

    def __init__(self, settings: BackupSettings) -> None:
        """Change nothing."""
        self.home = settings.home.absolute()
        self.folder = self.home / SERVER
        self.programs = postgres_programs(settings)
        self._barman = barman_program(settings)
        self._config = self.home / "barman.conf"

    @property
    def prepared(self) -> bool:
        """Whether `prepare` was done here."""
        return self._config.exists()

    @property
    def superuser(self) -> str:
        """The name of the server's superuser."""
        return str(json.loads((self.home / "server.json").read_text())["superuser"])

    @property
    def conninfo(self) -> str:
        """How the backup role reaches the live server (libpq's keywords)."""
        config = configparser.ConfigParser(interpolation=None)
        config.read(self._config)
        return config[SERVER]["conninfo"]

    def prepare(self, superuser_url: str) -> None:
        """Make the backup role on the server, and the archive's configuration here. Idempotent.

        The role's password is made anew each time and stays in this folder.
        """
        password = secrets.token_hex(24)
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with psycopg.connect(superuser_url, autocommit=True) as connection:
            _make_role(connection, password)
            witness.make_tables(connection, ROLE)
            superuser = connection.info.user
        given = conninfo_to_dict(superuser_url)
        passfile = self.home / "pgpass"
        _write_private(passfile, f"*:*:*:{ROLE}:{password}\n")
        conninfo = make_conninfo(
            host=given.get("host"),
            port=given.get("port", 5432),
            user=ROLE,
            dbname="postgres",
            passfile=str(passfile),
        )
        _write_private(self.home / "server.json", json.dumps({"superuser": superuser}))
        _write_private(self._config, self._text(conninfo))

    def barman(self, *arguments: str, json_answer: bool = False, may_fail: bool = False) -> Any:
        """Run a Barman command; gives what it printed, or the JSON of it.

        Raises BackupError when it fails, unless it `may_fail`.
        """
        form = ["-f", "json"] if json_answer else []
        done = subprocess.run(
            [str(self._barman), "-c", str(self._config), *form, *arguments],
            env={**os.environ, "HOME": str(self.home), "LC_ALL": "C"},
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode and not may_fail:
            said = (done.stdout + done.stderr).strip()
            raise BackupError(f"barman {arguments[0]} failed:\n{said[-2000:]}")
        if not json_answer:
            return done.stdout + done.stderr
        try:
            return json.loads(done.stdout)[SERVER]
        except (ValueError, KeyError) as error:
            raise BackupError(f"barman {arguments[0]} gave no answer: {done.stderr}") from error

    def tend(self) -> None:
        """What has to be done each minute: receive and archive the log, drop what is too old."""
        self.barman("cron")

    def start_receiving(self) -> None:
        """`tend`, and wait until the server sends its log. Raises BackupError after a minute."""
        self.tend()
        deadline = time.monotonic() + START_SECONDS
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            while not connection.execute(
                "SELECT FROM pg_replication_slots WHERE slot_name = %s AND active", [SLOT]
            ).rowcount:
                if time.monotonic() > deadline:
                    raise BackupError(
                        f"The log is not received; {self.home / 'barman.log'} should say why."
                    )
                time.sleep(0.2)

    def back_up(self) -> None:
        """Take a full backup, with the log it needs, now."""
        if not any((self.folder / "wals").rglob("0*")):
            # Barman takes no backup before it has seen that the log comes in.
            self.barman("switch-wal", "--force", "--archive", "--archive-timeout", "60", SERVER)
        self.barman("backup", "--wait", "--wait-timeout", "600", SERVER)

    def backups(self) -> list[Backup]:
        """All full backups, the oldest first; failed ones too."""
        found = self.barman("list-backups", SERVER, json_answer=True)
        backups = [
            Backup(
                id=item["backup_id"],
                status=item["status"],
                end=datetime.fromtimestamp(int(item.get("end_time_timestamp") or 0), UTC),
                standalone=item.get("retention_status") == "KEEP:STANDALONE",
            )
            for item in found
        ]
        return sorted(backups, key=lambda backup: backup.id)

    def log_range(self, backup: Backup) -> tuple[str, str]:
        """The first and last log file that the backup needs to be consistent."""
        shown = self.barman("show-backup", SERVER, backup.id, json_answer=True)
        information = shown["base_backup_information"]
        return str(information["begin_wal"]), str(information["end_wal"])

    def verify(self, backup: Backup) -> None:
        """Compare each file of the backup with its manifest. Raises BackupError."""
        self.barman("verify-backup", SERVER, backup.id)

    def keep(self, backup_id: str) -> None:
        """Keep the backup beyond the window, with the log that makes it consistent."""
        self.barman("keep", "--target", "standalone", SERVER, backup_id)

    def release(self, backup_id: str) -> None:
        """Undo `keep`: the next `tend` drops it."""
        self.barman("keep", "--release", SERVER, backup_id)

    def check(self) -> dict[str, str]:
        """Barman's own checks that fail now: name to hint."""
        found = self.barman("check", SERVER, json_answer=True, may_fail=True)
        return {
            name: result.get("hint", "")
            for name, result in found.items()
            if result["status"] != "OK"
        }

    def stop_receiving(self) -> None:
        """End the process that receives the log; the next `tend` starts it again."""
        self.barman("receive-wal", "--stop", SERVER, may_fail=True)

    def begin_anew(self) -> None:
        """Receive from here on and take a full backup; blocks.

        After the server was restored, which began a new history, and after it dropped log that was
        not received: what follows no longer joins what is here.
        """
        self.stop_receiving()
        self.barman("receive-wal", "--drop-slot", SERVER, may_fail=True)
        self.barman("receive-wal", "--create-slot", SERVER)
        self.barman("receive-wal", "--reset", SERVER)
        self.start_receiving()
        self.back_up()

    def forget_server(self) -> None:
        """Stop receiving and drop the slot, which would make the server keep its log for ever."""
        self.stop_receiving()
        self.barman("receive-wal", "--drop-slot", SERVER)

    def _text(self, conninfo: str) -> str:
        return f"""\
; Written by `python -m deploy.backup prepare`.
[barman]
barman_user = {getpass.getuser()}
barman_home = {self.home}
barman_lock_directory = {self.home}
log_file = {self.home / "barman.log"}
log_level = INFO

[{SERVER}]
description = Rookery
conninfo = {conninfo}
streaming_conninfo = {conninfo}
path_prefix = {self.programs}
backup_method = postgres
immediate_checkpoint = true
backup_compression = gzip
backup_compression_format = tar
backup_compression_level = 1
streaming_archiver = on
slot_name = {SLOT}
create_slot = auto
compression = gzip
; A day more than the logs are promised for: within it `retention` marks what lives on alone.
retention_policy = RECOVERY WINDOW OF {LOG_DAYS + 1} DAYS
minimum_redundancy = 1
last_backup_maximum_age = 25 HOURS
; Beats come every ten seconds and archive_timeout closes a file each minute, idle or not.
last_wal_maximum_age = 1 HOURS
; Full backups are kept {FULL_DAYS} days: those beyond the window as standalone ones.
"""


def _make_role(connection: psycopg.Connection[Any], password: str) -> None:
    exists = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone()
    role = sql.Identifier(ROLE)
    # Whoever may copy the data folder can read everything; BYPASSRLS gives no more than that.
    connection.execute(
        sql.SQL("{} ROLE {} LOGIN REPLICATION BYPASSRLS NOSUPERUSER PASSWORD {}").format(
            sql.SQL("ALTER" if exists else "CREATE"), role, sql.Literal(password)
        )
    )
    connection.execute(
        sql.SQL("GRANT pg_monitor, pg_checkpoint, pg_read_all_data TO {}").format(role)
    )
    for function in _FUNCTIONS:
        connection.execute(
            sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(sql.SQL(function), role)
        )
    for name in databases(connection):
        connection.execute(
            sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(name), role)
        )


def databases(connection: psycopg.Connection[Any]) -> Sequence[str]:
    """The server's databases but `postgres` and templates, by name."""
    rows = connection.execute(
        "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'"
        " AND datallowconn ORDER BY datname"
    ).fetchall()
    return [row[0] for row in rows]


def _write_private(path: Path, text: str) -> None:
    scratch = path.with_name(path.name + ".new")
    scratch.unlink(missing_ok=True)
    scratch.touch(mode=0o600)
    scratch.write_text(text)
    scratch.replace(path)
