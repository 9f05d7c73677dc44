"""Wall time and processor time of a stretch, over this process and the servers."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import psutil  # type: ignore[import-untyped]


@dataclass(frozen=True)
class Moment:
    """When, and the processor seconds used until then, by name."""

    at: float
    cpu: Mapping[str, float]


def moment(servers: Mapping[str, int]) -> Moment:
    """Now; `servers` are process ids by name, counted with their children."""
    cpu = {name: _tree_seconds(pid) for name, pid in servers.items()}
    return Moment(time.monotonic(), {"python": time.process_time(), **cpu})


def between(start: Moment, end: Moment, events: int) -> dict[str, float]:
    """Events per second, and microseconds of processor per event by name."""
    spent = {name: (end.cpu[name] - start.cpu[name]) * 1e6 / events for name in end.cpu}
    return {"rate": events / (end.at - start.at), **spent}


def _tree_seconds(pid: int) -> float:
    root = psutil.Process(pid)
    times = root.cpu_times()
    # Of children that are gone, the root knows the sum.
    seconds = times.user + times.system + times.children_user + times.children_system
    for child in root.children(recursive=True):
        times = child.cpu_times()
        seconds += times.user + times.system
    return float(seconds)
