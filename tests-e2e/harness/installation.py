"""The spine's services as processes of their own, each to be killed, paused and doubled."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
from prometheus_client.parser import text_string_to_metric_families
from psycopg.rows import namedtuple_row
from sqlalchemy.engine import make_url

from deploy.local import environment
from deploy.local.home import ROOT, Home
from harness.webhooks import Account
from libs.chassis.database import create_engine
from libs.chassis.migrate import upgrade
from libs.chassis.provision import ROLES, ServiceUrls, provision
from libs.contracts.accounts import AccountConnected
from libs.contracts.envelope import Metadata
from libs.eventlog import log
from libs.testing.servers import Broker, PostgresServer, ServerProcess, free_port

SERVICES = ("identity", "accounts", "ingestion", "analytics", "audit")
# Of these only the relay is needed: nobody signs in.
RELAYS = ("identity", "accounts")
READY_SECONDS = 60.0
_WAITING = "pid FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'"


@dataclass(frozen=True)
class Instance:
    """One process of a service. Every call blocks, so use `asyncio.to_thread`."""

    name: str
    process: ServerProcess
    argv: Sequence[str]
    env: Mapping[str, str]
    url: str

    def start(self) -> None:
        """Start without waiting; see `wait_ready`."""
        self.process.start(self.argv, env=self.env, cwd=ROOT)

    def wait_ready(self) -> None:
        """Wait until it serves; a relay by itself serves nobody and is not waited for."""
        if self.argv[-1] != "relay":
            self.process.wait_ready(self._ready, READY_SECONDS)

    def restart(self) -> None:
        """SIGKILL, start, wait until it serves."""
        self.process.kill()
        self.start()
        self.wait_ready()

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a Prometheus metric's samples that have these labels."""
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.get(f"{self.url}/metrics", follow_redirects=True)
        return sum(
            sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5, trust_env=False).is_success
        except httpx.TransportError:
            return False


class Installation:
    """The spine: ingestion, analytics, audit and the relays that feed them, on servers to break."""

    def __init__(
        self,
        folder: Path,
        postgres: PostgresServer,
        broker: Broker,
        *,
        replicas: Mapping[str, int] | None = None,
    ) -> None:
        """Start nothing; both servers run already. Blocks for the migrations.

        `replicas` is how many processes a service has, where it is more than one.
        """
        self.postgres = postgres
        self.broker = broker
        self._home = Home(folder / "home")
        self._home.folder.mkdir()
        self.session_seconds = 2 if broker.kind == "embedded" else 6
        self._urls = {
            name: f"http://127.0.0.1:{free_port()}" for name in ("gateway", "simulator", *SERVICES)
        }
        self._databases = {name: self.new_database(name) for name in SERVICES}
        self._extra: list[Instance] = []
        self.fleet: dict[str, list[Instance]] = {}
        """All lasting processes of each service."""
        for name in SERVICES:
            role = "relay" if name in RELAYS else "run"
            first = self._instance(name, self._databases[name], role=role)
            more = (replicas or {}).get(name, 1) - 1
            self.fleet[name] = [first, *(self.another(name, role=role) for _ in range(more))]
        self.instances = {name: processes[0] for name, processes in self.fleet.items()}
        """The first process of each service."""

    @property
    def service_secret(self) -> str:
        """Signs the tokens of calls between services."""
        return self._home.secret("service")

    def start(self) -> None:
        """Start all services and wait until they serve."""
        processes = [one for fleet in self.fleet.values() for one in fleet]
        for instance in processes:
            instance.start()
        for instance in processes:
            instance.wait_ready()

    def stop(self) -> None:
        """SIGKILL everything: nothing of it is kept."""
        for instance in (*self.instances.values(), *self._extra):
            instance.process.kill()

    def another(
        self, name: str, *, role: str = "run", database: ServiceUrls | None = None
    ) -> Instance:
        """One more process of a service, not started; on its database or another one."""
        database = database or self._databases[name]
        instance = self._instance(name, database, role=role, port=free_port())
        self._extra.append(instance)
        return instance

    def new_database(self, service: str, suffix: str = "") -> ServiceUrls:
        """An empty, migrated database of the service."""
        secrets = {role: self._home.secret(f"{service}.{role}") for role in ROLES}
        urls = provision(self.postgres.url, service, secrets, database=service + suffix)
        upgrade(ROOT / "services" / service / "migrations", urls.owner)
        return urls

    async def open(self, database: str) -> psycopg.AsyncConnection[Any]:
        """A connection of the superuser, who sees everything; autocommit."""
        url = make_url(self.postgres.url).set(database=database)
        return await psycopg.AsyncConnection.connect(
            url.render_as_string(hide_password=False),
            autocommit=True,
            row_factory=namedtuple_row,
            connect_timeout=10,
        )

    @asynccontextmanager
    async def holding(self, database: str, table: str) -> AsyncIterator[None]:
        """Let nobody write to `table` while inside. Reading it goes on."""
        async with await self.open(database) as connection, connection.transaction():
            # Takes no transaction id, behind which relays would wait.
            await connection.execute(f"LOCK TABLE {table} IN SHARE MODE".encode())
            yield

    async def waiting(self, database: str) -> int:
        """How many sessions of the database wait for a lock."""
        async with await self.open("postgres") as connection:
            found = await connection.execute(f"SELECT {_WAITING}".encode(), [database])
            return len(await found.fetchall())

    async def end_waiting(self, database: str) -> None:
        """End those sessions; a session whose client is gone would still do what it waits for."""
        async with await self.open("postgres") as connection:
            await connection.execute(
                f"SELECT pg_terminate_backend(pid), {_WAITING}".encode(), [database]
            )

    async def connect(self, accounts: Sequence[Account]) -> None:
        """Make accounts known through the log of the accounts service, and to ingestion."""
        url = make_url(self.postgres.url).set(database="accounts")
        engine = create_engine(url.render_as_string(hide_password=False), name="tests")
        async with engine.begin() as connection:
            for account in accounts:
                await log.append(
                    connection,
                    f"account-{account.id}",
                    expected_version=0,
                    events=[_connected(account)],
                    workspace_id=account.workspace_id,
                    metadata=Metadata(),
                    now=datetime.now(UTC),
                )
        await engine.dispose()

    def _instance(
        self, name: str, database: ServiceUrls, *, role: str = "run", port: int | None = None
    ) -> Instance:
        url = self._urls[name] if port is None else f"http://127.0.0.1:{port}"
        prefix = name.upper()
        env = {
            **os.environ,
            **environment.shared(
                self._urls,
                bootstrap=self.broker.bootstrap,
                idempotence=self.broker.supports_idempotence,
                secret=self._home.secret,
            ),
            **environment.own(name, self._urls, self._home.secret),
            f"{prefix}_DATABASE_URL": database.app,
            f"{prefix}_WORKER_DATABASE_URL": database.worker,
            f"{prefix}_PORT": url.rpartition(":")[2],
            "KAFKA_REPLICATION": str(self.broker.replication),
            "KAFKA_FETCH_WAIT_MS": "100",
            "KAFKA_SESSION_TIMEOUT_MS": str(1000 * self.session_seconds),
        }
        log_file = self._home.logs / f"{name}-{url.rpartition(':')[2]}.log"
        argv = [sys.executable, "-m", f"services.{name}", role]
        return Instance(name, ServerProcess(name, log_file), argv, env, url)


def _connected(account: Account) -> AccountConnected:
    return AccountConnected(
        account_id=account.id,
        workspace_id=account.workspace_id,
        platform=account.platform,
        handle=f"demo.{account.id.hex[:8]}",
        platform_user_id=account.user,
        status="active",
        scopes=("all",),
    )
