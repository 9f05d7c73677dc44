"""Webhooks over HTTP into the log, beside a no-op on the same server and a bare COPY."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

import psutil  # type: ignore[import-untyped]
import psycopg
from prometheus_client.parser import text_string_to_metric_families
from psycopg.types.json import Jsonb, set_json_dumps
from sqlalchemy.engine import make_url

from benchmarks import servers
from benchmarks.figures import Figure, Series, alternate
from benchmarks.webhook_load import Load, Outcome
from libs.chassis.migrate import upgrade
from libs.chassis.provision import ROLES, ServiceUrls, provision
from libs.testing.servers import PostgresServer, ServerProcess, free_port

ROOT = Path(__file__).parents[1]
SECRET = "benchmark-app-secret"
ACCOUNTS = 100
# Enough for some seconds a round, so that checkpoints and the collector take their share.
WEBHOOKS = {1: 20_000, 10: 5_000}

_ROUTES = """
INSERT INTO account_routes
SELECT 'instagram', n::text, gen_random_uuid(), gen_random_uuid(), false, true, now(), 1, 1
FROM generate_series(1, %s) AS n
"""
_PAST = """
WITH past AS (
  SELECT gen_random_uuid() AS id, (1 + n %% %(accounts)s)::text AS platform_user_id
  FROM generate_series(1, %(rows)s) AS n
), keys AS (
  INSERT INTO event_keys (id) SELECT id FROM past
)
INSERT INTO events
  (id, workspace_id, social_account_id, platform, type, payload, metadata, received_at)
SELECT id, workspace_id, account_id, platform, 'comments',
  jsonb_build_object('id', id, 'text', repeat('x', 80)), '{}', now()
FROM past JOIN account_routes USING (platform_user_id)
"""
# The same columns, indexes and partitions, and no more: no keys, no policies.
_TWIN = """
DO $$
DECLARE part record;
BEGIN
  CREATE TABLE copied (LIKE events INCLUDING ALL) PARTITION BY RANGE (received_at);
  FOR part IN SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) AS bound
    FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE inhparent = 'events'::regclass
  LOOP
    EXECUTE format('CREATE TABLE %I PARTITION OF copied %s',
      replace(part.relname, 'events', 'copied'), part.bound);
  END LOOP;
END $$
"""
_COLUMNS = "id, workspace_id, social_account_id, platform, type, payload, metadata, received_at"
_TYPES = ("uuid", "uuid", "uuid", "varchar", "varchar", "jsonb", "jsonb", "timestamptz")
_NEWEST = """
SELECT id, workspace_id, social_account_id, platform, type, payload::text, metadata::text,
  received_at
FROM events ORDER BY position DESC LIMIT %s
"""


@dataclass
class _Server:
    """A service under load."""

    pid: int
    port: int

    def answers(self) -> bool:
        try:
            return bool(self._get("/readyz"))
        except OSError:
            return False

    def batches(self) -> tuple[float, float]:
        """Rows committed together so far, and in how many commits."""
        found = {}
        for family in text_string_to_metric_families(self._get("/metrics").decode()):
            for sample in family.samples:
                found[sample.name] = sample.value
        return (
            found["rookery_ingestion_batch_rows_sum"],
            found["rookery_ingestion_batch_rows_count"],
        )

    def cpu(self) -> float:
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def _get(self, path: str) -> bytes:
        url = f"http://127.0.0.1:{self.port}{path}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return cast("bytes", answer.read())


@contextmanager
def _served(module: str, prefix: str, env: dict[str, str], log: Path) -> Iterator[_Server]:
    """`python -m <module> api` on a free port. Blocks until it answers."""
    port = free_port()
    process = ServerProcess(module, log)
    process.start(
        [sys.executable, "-m", module, "api"],
        cwd=ROOT,
        env={**os.environ, **env, f"{prefix}_PORT": str(port)},
    )
    try:
        server = _Server(process.pid, port)
        process.wait_ready(server.answers, timeout=30)
        yield server
    finally:
        process.stop()


@dataclass
class _Bench:
    """One number of changes per body: what its rounds share, and what they saw beside the rate."""

    changes: int
    database: PostgresServer
    url: str
    service: _Server
    no_op: _Server
    numbers: Iterator[int]
    accounts: int
    batch: float = 0.0
    seen: dict[str, list[float]] = field(default_factory=dict)

    @property
    def webhooks(self) -> int:
        return WEBHOOKS[self.changes]

    async def append(self) -> float:
        """Webhooks/s of the real service; what it acknowledged is in the table, or it raises."""
        rows, commits = await asyncio.to_thread(self.service.batches)
        before = self._count()
        database = _tree_cpu(self.database.pid)
        outcome = await self._send(self.service, "webhook")
        self._note("PostgreSQL CPU", (_tree_cpu(self.database.pid) - database) / self.webhooks)
        written = self._count() - before
        if written != outcome.acknowledged * self.changes:
            raise RuntimeError(f"{outcome.acknowledged} acknowledged, but {written} rows written")
        rows_now, commits_now = await asyncio.to_thread(self.service.batches)
        self.batch = (rows_now - rows) / (commits_now - commits)
        self._note("rows a commit", self.batch)
        return outcome.acknowledged / outcome.seconds

    async def respond(self) -> float:
        """Requests/s of the no-op."""
        outcome = await self._send(self.no_op, "no-op")
        return outcome.acknowledged / outcome.seconds

    async def respond_as_fastapi(self) -> float:
        """Requests/s of the no-op that FastAPI serves."""
        outcome = await self._send(self.no_op, "FastAPI no-op", path="/fastapi/instagram")
        return outcome.acknowledged / outcome.seconds

    async def copy(self) -> float:
        """Rows/s of COPY on one connection: the rows, and as many a commit, as the service just had."""
        return await asyncio.to_thread(self._copy)

    def _copy(self) -> float:
        size = max(1, round(self.batch))
        with psycopg.connect(self.url, autocommit=True) as connection:
            set_json_dumps(bytes, connection)  # they are JSON already
            found = connection.execute(_NEWEST, [self.webhooks * self.changes]).fetchall()
            rows = [(*row[:5], _json(row[5]), _json(row[6]), row[7]) for row in reversed(found)]
            started = time.perf_counter()
            for first in range(0, len(rows), size):
                with (
                    connection.cursor() as cursor,
                    cursor.copy(f"COPY copied ({_COLUMNS}) FROM STDIN (FORMAT binary)") as copy,
                ):
                    copy.set_types(_TYPES)
                    for row in rows[first : first + size]:
                        copy.write_row(row)
            return len(rows) / (time.perf_counter() - started)

    async def _send(self, server: _Server, what: str, path: str = Load.path) -> Outcome:
        load = Load(
            server.port,
            SECRET,
            self.webhooks,
            self.changes,
            next(self.numbers),
            self.accounts,
            path=path,
        )
        before = server.cpu()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "benchmarks.webhook_load", json.dumps(asdict(load))),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        printed, _ = await process.communicate()
        if process.returncode:
            raise RuntimeError("the load failed; its error stands above")
        outcome = Outcome(**json.loads(printed))
        self._note(f"server CPU, {what}", (server.cpu() - before) / self.webhooks)
        self._note("load CPU", outcome.cpu_seconds / self.webhooks)
        return outcome

    def _count(self) -> int:
        with psycopg.connect(self.url) as connection:
            row = connection.execute("SELECT count(*) FROM events").fetchone()
            return int(row[0]) if row else 0

    def _note(self, name: str, value: float) -> None:
        self.seen.setdefault(name, []).append(value)

    def micros(self, name: str) -> Series:
        return Series(name, [value * 1e6 for value in self.seen[name]])


async def measure(rounds: int, say: Callable[[str], None]) -> list[Figure]:
    """The figures of `append`, for bodies of 1 and of 10 changes."""
    figures: list[Figure] = []
    with _running(ACCOUNTS, 0) as bench_of:
        for changes in WEBHOOKS:
            bench = bench_of(changes)
            series = await alternate(
                rounds,
                append=bench.append,
                bare_no_op=bench.respond,
                COPY=bench.copy,
                FastAPI_no_op=bench.respond_as_fastapi,
            )
            figures += _figures(bench, series, say)
    return figures


async def event_costs(rounds: int, *, accounts: int, rows: int) -> dict[str, Series]:
    """CPU µs of server and PostgreSQL for one of ten events a body.

    There are `accounts` accounts, and `rows` rows in the log before.
    """
    with _running(accounts, rows) as bench_of:
        bench = bench_of(10)
        for _ in range(rounds):
            await bench.append()
    return {
        name: Series(name, [value / 10 for value in bench.micros(name).rounds])
        for name in ("server CPU, webhook", "PostgreSQL CPU")
    }


@contextmanager
def _running(accounts: int, rows: int) -> Iterator[Callable[[int], _Bench]]:
    """The service and the no-op, and what measures them with so many changes a body. Blocks."""
    with servers.postgres() as database, tempfile.TemporaryDirectory() as folder:
        urls = _database(database.url, accounts, rows)
        url = make_url(database.url).set(database=make_url(urls.owner).database)
        common = {"ROOKERY_SERVICE_SECRET": "benchmark " * 4, "ROOKERY_LOG_LEVEL": "WARNING"}
        real = {
            **common,
            "INGESTION_DATABASE_URL": urls.app,
            "INGESTION_WORKER_DATABASE_URL": urls.worker,
            "INGESTION_INSTAGRAM_WEBHOOK_SECRETS": SECRET,
        }
        nothing = {**common, "NO_OP_DATABASE_URL": "-", "NO_OP_WORKER_DATABASE_URL": "-"}
        numbers = itertools.count(0, max(WEBHOOKS.values()))
        logs = Path(folder)
        with (
            _served("services.ingestion", "INGESTION", real, logs / "ingestion.log") as service,
            _served("benchmarks.no_op", "NO_OP", nothing, logs / "no-op.log") as no_op,
        ):

            def bench_of(changes: int) -> _Bench:
                text = url.render_as_string(hide_password=False)
                return _Bench(changes, database, text, service, no_op, numbers, accounts)

            yield bench_of


def _database(superuser_url: str, accounts: int, rows: int) -> ServiceUrls:
    urls = provision(superuser_url, "ingestion", dict.fromkeys(ROLES, "benchmark"))
    upgrade(ROOT / "services/ingestion/migrations", urls.owner)
    with psycopg.connect(urls.worker) as connection:
        connection.execute(_ROUTES, [accounts])
        connection.execute(_PAST, {"rows": rows, "accounts": accounts})
    with psycopg.connect(urls.owner) as connection:
        connection.execute(_TWIN)
    with psycopg.connect(superuser_url, dbname="ingestion", autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
    return urls


def _figures(bench: _Bench, series: dict[str, Series], say: Callable[[str], None]) -> list[Figure]:
    per_body = f"{bench.changes} change{'s' if bench.changes > 1 else ''} per body"
    webhooks = series["append"]
    events = Series(webhooks.name, [rate * bench.changes for rate in webhooks.rounds])
    ours, theirs = bench.micros("server CPU, webhook"), bench.micros("server CPU, no-op")
    database = bench.micros("PostgreSQL CPU")
    batch = Series("rows a commit", bench.seen["rows a commit"])
    say(
        f"{per_body}: {webhooks.median:,.0f} webhooks/s of {series['bare_no_op'].median:,.0f},"
        f" {events.median:,.0f} events/s of {series['COPY'].median:,.0f};"
        f" CPU µs a webhook: server {ours.median:.0f} (no-op {theirs.median:.0f}), PostgreSQL"
        f" {database.median:.0f}, load {bench.micros('load CPU').median:.0f};"
        f" {batch.median:.0f} rows a commit"
    )
    # The no-op endpoint is what one writes with the server's framework; the bare one, which goes
    # past it as the webhooks do, is harder to come near.
    targets = (0.75, None) if bench.changes == 1 else (None, 0.5)
    notes = {"rows a commit": batch.rounds, "connections": Load.connections}
    return [
        Figure(
            "append",
            f"webhooks, {per_body}",
            "1/s",
            webhooks,
            series["FastAPI_no_op"],
            target=targets[0],
            notes=notes,
        ),
        Figure(
            "append",
            f"events, {per_body}",
            "1/s",
            events,
            series["COPY"],
            target=targets[1],
            notes=notes,
        ),
        Figure("append", f"webhooks, {per_body}", "1/s", webhooks, series["bare_no_op"]),
        Figure("append", f"server CPU, {per_body}", "µs/webhook", ours, theirs, better="lower"),
        Figure("append", f"PostgreSQL CPU, {per_body}", "µs/webhook", database, better="lower"),
    ]


def _json(text: str) -> Jsonb:
    return Jsonb(text.encode())


def _tree_cpu(pid: int) -> float:
    """CPU seconds that a process and its children have used."""
    total = 0.0
    root = psutil.Process(pid)
    for process in (root, *root.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total
