"""The programs that make backups: PostgreSQL's and Barman's."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from deploy.backup.settings import ROOT, BackupError, BackupSettings

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
# PostgreSQL refuses to run as root, so root runs a restored server as this user.
_SYSTEM_USER = "rookery-postgres"


def postgres_programs(settings: BackupSettings) -> Path:
    """The folder of `postgres`, `pg_ctl`, `pg_basebackup` and the others."""
    if settings.programs is not None:
        return settings.programs
    from libs.testing.servers.postgres import PROGRAMS

    return PROGRAMS


def barman_program(settings: BackupSettings) -> Path:
    """The `barman` program; installs it at its first use, which blocks for the download.

    It has an environment of its own, because it brings another PostgreSQL driver than the
    services use. Raises BackupError when it cannot be installed.
    """
    if settings.barman is not None:
        return settings.barman
    lock = REQUIREMENTS.read_bytes()
    folder = ROOT / ".rookery" / "barman" / hashlib.sha256(lock).hexdigest()[:12]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not folder.is_dir():
            _install(folder)
    return folder / "bin" / "barman"


def _install(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        made = Path(scratch) / "environment"
        python = str(made / "bin" / "python")
        for argv in (
            [sys.executable, "-m", "venv", str(made)],
            [
                *(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
                *("--require-hashes", "--no-deps", "--only-binary", ":all:"),
                *("-r", str(REQUIREMENTS)),
            ],
        ):
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
            if done.returncode:
                raise BackupError(f"Barman could not be installed:\n{done.stderr[-2000:]}")
        made.rename(folder)
    # pip wrote the folder's first name into the scripts.
    script = folder / "bin" / "barman"
    _, rest = script.read_text().split("\n", 1)
    script.write_text(f"#!{folder / 'bin' / 'python'}\n{rest}")


def server_user() -> str | None:
    """The system user that a restored server runs as: None for ourselves, another one for root."""
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(_SYSTEM_USER)
    except KeyError:
        subprocess.run(
            ["useradd", "--system", "--no-create-home", "--user-group", _SYSTEM_USER],
            check=True,
            capture_output=True,
        )
    return _SYSTEM_USER


def give(folder: Path, user: str | None) -> None:
    """Make `user` the owner of `folder` and all in it; None changes nothing."""
    if user is None:
        return
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, user, user)


def run(
    argv: Sequence[str | Path], *, user: str | None = None, failing: str
) -> subprocess.CompletedProcess[str]:
    """Run one of PostgreSQL's programs; raises BackupError, opened by `failing`, when it fails."""
    done = subprocess.run(
        [str(part) for part in argv],
        user=user,
        group=user,
        extra_groups=[] if user else None,
        cwd="/",
        env={**{k: v for k, v in os.environ.items() if not k.startswith("PG")}, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BackupError(f"{failing}\n{done.stdout[-2000:]}{done.stderr[-2000:]}".rstrip())
    return done
