"""The stack of `make run` as a process: how long it takes to start, and what it consists of."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from libs.testing.servers import ServerProcess

ROOT = Path(__file__).parents[1]
_READY_SECONDS = 180.0
# What stands in a part's command line, and the part's name.
_PROGRAMS = {
    "services.": "",
    "libs.simulator": "simulator",
    "bin/postgres": "postgres",
    "tansu": "broker",
    "envoy": "gateway",
    "guard.py": "supervisor",
}


@dataclass(frozen=True)
class LocalStack:
    """A stack that runs: what its `local.json` says, and the seconds until that was there."""

    pid: int
    local: Mapping[str, Any]
    seconds: float

    def parts(self) -> dict[str, list[psutil.Process]]:
        """Its processes by part. Those of PostgreSQL are one part, however many there are."""
        root = psutil.Process(self.pid)
        found: dict[str, list[psutil.Process]] = {"supervisor": [root]}
        for child in root.children():
            name = _name(child)
            found.setdefault(name, []).append(child)
            if name == "postgres":
                found[name] += child.children(recursive=True)
        return found

    def cpu_seconds(self) -> dict[str, float]:
        """Processor seconds used so far, by part."""
        return {name: sum(map(_cpu, part)) for name, part in self.parts().items()}

    def memory(self) -> dict[str, float]:
        """Megabytes by part, a page that several processes share being divided among them."""
        return {name: sum(map(_megabytes, part)) for name, part in self.parts().items()}


@contextmanager
def local_stack(home: Path, env: Mapping[str, str]) -> Iterator[LocalStack]:
    """Start it in `home` on free ports and stop it at the end. Blocks.

    Raises ServerError with what it printed when it does not come up.
    """
    status = home / "local.json"
    process = ServerProcess("The local stack", home.with_name(home.name + ".log"))
    started = time.perf_counter()
    process.start(
        [sys.executable, "-m", "deploy.local", "up"],
        cwd=ROOT,
        env={**os.environ, "ROOKERY_HOME": str(home), "ROOKERY_PORTS": "free", **env},
    )
    try:
        process.wait_ready(status.exists, _READY_SECONDS)
        seconds = time.perf_counter() - started
        yield LocalStack(process.pid, json.loads(status.read_text()), seconds)
    finally:
        process.stop(timeout=60)


def _name(process: psutil.Process) -> str:
    words = process.cmdline()
    for word in words:
        for mark, name in _PROGRAMS.items():
            if mark in word:
                return name or word.removeprefix(mark)
    return Path(words[0]).name if words else process.name()


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    used = float(times.user + times.system)
    # PostgreSQL's helpers come and go; their parent knows what those that went have used.
    if process.name() == "postgres":
        used += float(times.children_user + times.children_system)
    return used


def _megabytes(process: psutil.Process) -> float:
    try:
        info = process.memory_full_info()
    except psutil.NoSuchProcess:
        return 0.0
    return float(getattr(info, "pss", info.uss)) / 1e6
