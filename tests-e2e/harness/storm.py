"""Faults at random, from a seed, on everything an installation consists of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from harness.installation import Installation, Instance
from libs.testing.servers import PostgresServer
from libs.testing.servers.cluster import ApacheCluster
from libs.testing.servers.kafka_node import KafkaNode

LONGEST_PAUSE = 15.0
LONGEST_OUTAGE = 5.0


@dataclass
class Strike:
    """One fault as it went: seconds of the storm's clock."""

    target: str
    how: str
    began: float
    ended: float | None = None

    def __str__(self) -> str:
        ended = "not over" if self.ended is None else f"over at {self.ended:.1f} s"
        return f"{self.began:7.1f} s  {self.target}: {self.how}, {ended}"


@dataclass(frozen=True)
class Target:
    """What can be struck. Each call blocks; `start` and `resume` return when it serves again."""

    name: str
    kill: Callable[[], None]
    stop: Callable[[], None]
    start: Callable[[], None]
    pause: Callable[[], None]
    resume: Callable[[], None]


@dataclass
class Storm:
    """Strikes `targets` one after the other, several at a time, in an order the seed decides.

    How long each strike lasts depends on the machine, so two storms of one seed are alike and not
    the same. `weights` are of killing, of stopping and of an orderly restart. No target is struck twice at once. Of each group in `spare` one target is left alone
    at any time, as whoever runs several replicas would have it.
    """

    targets: Sequence[Target]
    seed: int
    gap: tuple[float, float] = (1.0, 4.0)
    weights: tuple[int, int, int] = (3, 2, 1)
    spare: Sequence[Sequence[str]] = ()
    clock: Callable[[], float] = time.monotonic
    strikes: list[Strike] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = Random(self.seed)
        self._began = self.clock()
        self._ended = asyncio.Event()

    async def blow(self, seconds: float) -> list[Strike]:
        """Strike for so long; returns the strikes when all have ended."""
        first = len(self.strikes)
        until = self.clock() + seconds
        async with asyncio.TaskGroup() as group:
            while self.clock() < until:
                target = self._random.choice(self.targets)
                how, work = self._choose(target)
                await self._free(target)
                strike = Strike(target.name, how, self.clock() - self._began)
                self.strikes.append(strike)
                group.create_task(self._strike(strike, work))
                await asyncio.sleep(self._random.uniform(*self.gap))
        return self.strikes[first:]

    def during(self, name: str, began: float, ended: float, *, grace: float) -> bool:
        """Whether a strike on that target, and `grace` seconds after it, touch the time span."""
        return any(
            strike.began + self._began < ended
            and began < (strike.ended or float("inf")) + self._began + grace
            for strike in self.strikes
            if strike.target == name
        )

    def timeline(self) -> str:
        """All strikes, a line each."""
        return "\n".join(str(strike) for strike in self.strikes)

    async def _strike(self, strike: Strike, work: Callable[[], Awaitable[None]]) -> None:
        await work()
        strike.ended = self.clock() - self._began
        self._ended.set()

    async def _free(self, target: Target) -> None:
        """Wait until the target may be struck."""
        while True:
            self._ended.clear()
            struck = {strike.target for strike in self.strikes if strike.ended is None}
            after = struck | {target.name}
            if target.name not in struck and not any(after >= set(group) for group in self.spare):
                return
            await self._ended.wait()

    def _choose(self, target: Target) -> tuple[str, Callable[[], Awaitable[None]]]:
        down = self._random.uniform(0, LONGEST_OUTAGE)
        hung = self._random.uniform(1, LONGEST_PAUSE)
        kinds: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            (f"killed for {down:.1f} s", lambda: _out(target.kill, target.start, down)),
            (f"stopped for {hung:.1f} s", lambda: _out(target.pause, target.resume, hung)),
            ("restarted", lambda: _out(target.stop, target.start, 0)),
        ]
        return self._random.choices(kinds, weights=self.weights)[0]


async def _out(begin: Callable[[], None], end: Callable[[], None], seconds: float) -> None:
    await asyncio.to_thread(begin)
    try:
        await asyncio.sleep(seconds)
    finally:
        await asyncio.to_thread(end)


def everything(installation: Installation) -> list[Target]:
    """PostgreSQL, every node of the cluster, every process of every service."""
    cluster: Any = installation.broker
    assert isinstance(cluster, ApacheCluster)
    return [
        postgres(installation.postgres),
        *(_node(cluster, node) for node in cluster.nodes),
        *processes(installation),
    ]


def processes(installation: Installation) -> list[Target]:
    """Every process of every service; see `replicas` for their names."""
    return [
        _process(f"{name}-{number}", instance)
        for name, fleet in installation.fleet.items()
        for number, instance in enumerate(fleet, 1)
    ]


def replicas(installation: Installation) -> list[list[str]]:
    """The names of the processes of each service that has several."""
    return [
        [f"{name}-{number}" for number in range(1, len(fleet) + 1)]
        for name, fleet in installation.fleet.items()
        if len(fleet) > 1
    ]


def postgres(server: PostgresServer) -> Target:
    """PostgreSQL; its name is `postgres`."""
    return Target("postgres", server.kill, server.stop, server.start, server.pause, server.resume)


def _node(cluster: ApacheCluster, node: KafkaNode) -> Target:
    return Target(
        f"broker-{node.place.id}",
        node.kill,
        node.stop,
        lambda: cluster.start_node(node),
        node.pause,
        node.resume,
    )


def _process(name: str, instance: Instance) -> Target:
    def start() -> None:
        instance.start()
        instance.wait_ready()

    process = instance.process
    return Target(name, process.kill, process.stop, start, process.pause, process.resume)
