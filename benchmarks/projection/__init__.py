"""Events per second from the broker to rows, beside a hand-written upsert of the same rows."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import psycopg

from benchmarks import servers
from benchmarks.figures import Figure, Series, alternate
from benchmarks.projection.history import START, World, sent
from benchmarks.projection.task import Task, Way
from benchmarks.projection.upserts import CASES, Case
from libs.chassis.database import libpq_url
from libs.chassis.partitions import months_ahead
from libs.chassis.provision import ServiceUrls
from libs.contracts.event import encode
from libs.messaging.config import BrokerConfig
from libs.testing.databases import clone
from libs.testing.servers import PostgresServer
from libs.testing.topics import Publisher

EVENTS = 60_000
TARGET = 0.5


async def measure(
    rounds: int,
    say: Callable[[str], None],
    *,
    events: int = EVENTS,
    cases: tuple[str, ...] = tuple(CASES),
) -> list[Figure]:
    """A figure for each projection. Raises when a round leaves other rows than the others."""
    with servers.postgres() as postgres, servers.broker() as broker:
        config = replace(servers.broker_config(broker), session_timeout_ms=6_000)
        pids = {"postgres": postgres.pid, "broker": broker.pid}
        templates: dict[tuple[str, str], ServiceUrls] = {}
        figures = []
        for name in cases:
            prefixed = replace(config, prefix=f"{name.replace(' ', '-')}.")
            await _fill(CASES[name], prefixed, events)
            bench = _Bench(name, events, prefixed, postgres, pids, templates)
            found = await alternate(
                rounds,
                runner=partial(bench.run, "runner"),
                unnest=partial(bench.run, "unnest"),
                copy=partial(bench.run, "copy"),
            )
            figures.append(bench.figure(found))
            say(f"{name}: {bench.spent()}")
    return figures


async def _fill(case: Case, broker: BrokerConfig, events: int) -> None:
    by_topic: dict[str, list[Any]] = {}
    for item in sent(case.history, events, case.reader.types):
        by_topic.setdefault(item.topic, []).append((item.envelope, encode(item.event)))
    for topic, pairs in by_topic.items():
        await Publisher(broker, topic).send(pairs)


@dataclass
class _Bench:
    """The rounds of one projection, each on a fresh database."""

    name: str
    events: int
    broker: BrokerConfig
    postgres: PostgresServer
    pids: dict[str, int]
    templates: dict[tuple[str, str], ServiceUrls]
    left: Any = None
    cpu: dict[str, list[dict[str, float]]] = field(default_factory=dict)

    async def run(self, way: Way) -> float:
        """Events per second of one round; its rows must be those of every round before."""
        case = CASES[self.name]
        urls = clone(self.postgres.url, case.service, self.templates)
        database = libpq_url(urls.worker)
        name = database.rpartition("/")[2]
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            # The hand-written copy goes through a temporary table, which no service may make.
            connection.execute(
                f'GRANT TEMPORARY ON DATABASE "{name}" TO {case.service}_worker'.encode()
            )
        _prepare(case, database)
        task = Task(self.name, way, self.events, database, asdict(self.broker), self.pids)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.projection.program", json.dumps(asdict(task))),
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await asyncio.wait_for(process.communicate(), 300)
        if process.returncode:
            raise RuntimeError(f"{self.name}: the {way} program failed")
        found: dict[str, float] = json.loads(out.splitlines()[-1])
        rows = _rows(case, database)
        if self.left is None:
            self.left = rows
        elif rows != self.left:
            raise RuntimeError(f"{self.name}: {way} left {rows}, those before {self.left}")
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
        self.cpu.setdefault(way, []).append(found)
        return found["rate"]

    def figure(self, found: dict[str, Series]) -> Figure:
        """The runner beside the faster of the two hand-written ways."""
        best = max(found["unnest"], found["copy"], key=lambda series: series.median)
        return Figure(
            "projection",
            self.name,
            "events/s",
            found["runner"],
            replace(best, name=f"by hand, {best.name}"),
            target=TARGET,
            notes={"events": self.events, "cpu_us_per_event": self._medians()},
        )

    def spent(self) -> str:
        """Rates and processor time of each way, for people."""
        return "; ".join(
            f"{way} {found.pop('rate'):,.0f}/s ("
            + ", ".join(f"{name} {micros:.0f}" for name, micros in found.items())
            + " µs)"
            for way, found in self._medians().items()
        )

    def _medians(self) -> dict[str, dict[str, float]]:
        return {
            way: {name: statistics.median(one[name] for one in found) for name in found[0]}
            for way, found in self.cpu.items()
        }


def _prepare(case: Case, database: str) -> None:
    """What a running service has: the months, and the accounts that events are about."""
    with psycopg.connect(database) as connection:
        if "metrics_snapshots" in case.tables:
            for month in months_ahead(START):
                connection.execute("SELECT metrics_snapshots_ensure_month(%s)", (month,))
        if case.service == "analytics" and "accounts" not in case.tables:
            with connection.cursor() as cursor:
                cursor.executemany(
                    "INSERT INTO accounts VALUES (%s, %s, %s, 'rook', 'active')",
                    [(one.id, one.workspace_id, one.platform) for one in World().accounts],
                )


def _rows(case: Case, database: str) -> dict[str, tuple[int, str]]:
    """How many rows each table holds, and their hash; where the reader stands; no dead letters."""
    # Where it stands does not hang on when it got there.
    standing = "(SELECT topic, partition, next_offset, xid, position FROM checkpoints)"
    found = {}
    with psycopg.connect(database) as connection:
        for table in (*case.tables, standing, "dead_letters"):
            row = connection.execute(
                "SELECT count(*), coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '')"
                f" FROM {table} t".encode()
            ).fetchone()
            assert row is not None
            found[table] = (row[0], row[1])
    if found["dead_letters"][0] or not found[case.tables[0]][0]:
        raise RuntimeError(f"dead letters, or no rows: {found}")
    return found
