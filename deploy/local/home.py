"""The stack's folder: data, logs, secrets, and who is using it."""

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from libs.testing.servers import ServerError

ROOT = Path(__file__).resolve().parents[2]
# Raised when data written by an older layout can no longer be used.
LAYOUT = "1"
# Costly to fetch again, and independent of the layout.
_KEPT_BY_RESET = {"barman", "kafka", "lock"}


class Home:
    """`.rookery`, or the folder that ROOKERY_HOME names."""

    def __init__(self, folder: Path) -> None:
        """Create nothing."""
        self.folder = folder.absolute()
        self.logs = self.folder / "logs"
        self.postgres = self.folder / "postgres"
        self.status = self.folder / "local.json"
        self.was_left_running = False
        self._lock = self.folder / "lock"
        self._layout = self.folder / "layout"
        self._secrets = self.folder / "secrets.json"

    @classmethod
    def from_environment(cls) -> "Home":
        """ROOKERY_HOME, else `.rookery` beside the code."""
        return cls(Path(os.environ.get("ROOKERY_HOME") or ROOT / ".rookery"))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder; raises ServerError when another process does.

        Sets `was_left_running` when the last holder did not come to an orderly end.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._lock.open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ServerError(self._who_runs()) from None
            self.was_left_running = self._lock.stat().st_size > 0
            self.status.unlink(missing_ok=True)
            self._note(lock, str(os.getpid()))
            try:
                yield
            finally:
                self._note(lock, "")

    def check_layout(self) -> None:
        """Raise ServerError when the data here is of another layout; mark a new folder."""
        if self._layout.exists():
            found = self._layout.read_text().strip()
            if found != LAYOUT:
                raise ServerError(
                    f"The data in {self.folder} has layout {found}, this version uses {LAYOUT}. "
                    "Throw the local data away with `make reset`, then start again."
                )
        elif self.postgres.exists():
            raise ServerError(
                f"{self.folder} holds data of an unknown layout. Throw it away with `make reset`."
            )
        self._layout.write_text(LAYOUT + "\n")

    def secret(self, name: str, make: Callable[[], str] = lambda: secrets.token_hex(24)) -> str:
        """A secret of this installation, made at its first use and kept (mode 0600)."""
        known: dict[str, str] = {}
        if self._secrets.exists():
            known = json.loads(self._secrets.read_text())
        if name not in known:
            known[name] = make()
            write_private(self._secrets, known)
        return known[name]

    def is_done(self, what: str) -> bool:
        """Whether `mark_done(what)` was called since the last reset."""
        return (self.folder / "done" / what).exists()

    def mark_done(self, what: str) -> None:
        """Remember a step that need not be repeated. Idempotent."""
        (self.folder / "done").mkdir(exist_ok=True)
        (self.folder / "done" / what).touch()

    def reset(self) -> None:
        """Remove data, logs and secrets. Raises ServerError while a stack runs."""
        with self.locked():
            for path in self.folder.iterdir():
                if path.name in _KEPT_BY_RESET:
                    continue
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()

    def _who_runs(self) -> str:
        pid = self._lock.read_text().strip()
        where = "It is still starting."
        if self.status.exists():
            where = f"Its gateway is {json.loads(self.status.read_text())['gateway']}."
        return (
            f"A local stack is already running in {self.folder} (pid {pid}). {where} "
            f"Stop it with Ctrl-C in its terminal, or with `kill {pid}`."
        )

    @staticmethod
    def _note(lock: Any, text: str) -> None:
        lock.truncate(0)
        lock.write(text)
        lock.flush()


def write_private(path: Path, content: Any) -> None:
    """Write JSON readable by its owner only, whole or not at all."""
    scratch = path.with_name(f".{path.name}.new")
    scratch.unlink(missing_ok=True)
    with open(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123
        json.dump(content, file, indent=2)
        file.write("\n")
    scratch.replace(path)
