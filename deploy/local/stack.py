"""What the local stack consists of, and in which order it comes up."""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from deploy.gateway.render import SERVICES, Gateway, render
from deploy.local import demo, environment
from deploy.local.console import console
from deploy.local.home import ROOT, Home, write_private
from deploy.local.ports import check_free, choose
from deploy.local.supervisor import Part, Supervisor
from deploy.topics import TOPICS
from libs.chassis.provision import ROLES, ServiceUrls, provision
from libs.messaging.config import BrokerConfig
from libs.messaging.topics import ensure_topics
from libs.testing.servers import (
    Broker,
    EmbeddedBroker,
    EnvoyServer,
    ExistingBroker,
    ExistingPostgres,
    Postgres,
    PostgresServer,
    ServerProcess,
)
from libs.testing.servers.ports import is_free
from libs.testing.servers.process import wait_until

# The embedded broker lets each group wait half a session before it starts.
_SESSION_MS = os.environ.get("KAFKA_SESSION_TIMEOUT_MS", "3000")
# After a kill of the supervisor its servers are given five seconds to end.
_LEFTOVER_SECONDS = 8.0
_POSTGRES_OPTIONS = {
    "fsync": "on",
    "full_page_writes": "on",
    "max_connections": "200",
    # A forgotten transaction would hold every relay back.
    "idle_in_transaction_session_timeout": "60s",
}


class Stack:
    """The parts, wired to each other; `up` runs them until somebody asks to stop."""

    def __init__(self, home: Home) -> None:
        """Read the settings; start nothing. Raises ServerError for a setting that cannot be."""
        self.home = home
        self.ports = choose()
        self.services = [n for n in SERVICES if (ROOT / "services" / n / "wiring.py").exists()]
        self._supervisor = Supervisor()
        self._http = httpx.Client(timeout=2, trust_env=False)

    def up(self) -> None:
        """Start everything, write local.json, watch. Raises Stopped, ServerError, DemoError."""
        self.home.check_layout()
        self._check_ports()
        with self._supervisor.running():
            try:
                self._start()
                self._supervisor.watch()
            finally:
                self._http.close()
                self.home.status.unlink(missing_ok=True)

    def url(self, name: str) -> str:
        """Where a part that speaks HTTP is found."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def _start(self) -> None:
        say = console.print
        say("Starting the database, the broker and the simulator")
        self._start_simulator()
        broker = self._start_broker()
        postgres = self._start_postgres()
        say(f"Starting {', '.join(self.services)} and the gateway")
        topics = self._topics(broker)
        topics()
        urls = {name: self.url(name) for name in self.ports}
        common = environment.shared(
            urls,
            bootstrap=broker.bootstrap,
            idempotence=broker.supports_idempotence,
            secret=self.home.secret,
        )
        if isinstance(broker, EmbeddedBroker):
            common["KAFKA_SESSION_TIMEOUT_MS"] = _SESSION_MS
        for name in self.services:
            database = self._database(postgres, name)
            self._supervisor.check()
            own = environment.own(name, urls, self.home.secret)
            self._start_service(name, database, {**common, **own})
        self._start_gateway()
        self._supervisor.wait_ready()
        visit = demo.Visit(
            gateway=self.url("gateway"),
            simulator=self.url("simulator"),
            services={name: self.url(name) for name in self.services},
            secret=self.home.secret,
            check=self._supervisor.check,
            done=self.home.is_done,
            mark_done=self.home.mark_done,
            say=say,
        )
        people = demo.seed(visit)
        status = self._status(postgres, broker, people)
        write_private(self.home.status, status)
        _welcome(status, self.home)

    def _check_ports(self) -> None:
        names = ["gateway", "simulator", *self.services]
        if not os.environ.get("DATABASE_URL"):
            names.append("postgres")
        if not os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
            names.append("kafka")
        if self.home.was_left_running:
            console.print("The last run was cut off; its data is kept")
            wait_until(lambda: all(is_free(self.ports[n]) for n in names), _LEFTOVER_SECONDS)
        check_free(self.ports, names)

    def _start_postgres(self) -> Postgres:
        if url := os.environ.get("DATABASE_URL"):
            return ExistingPostgres(url)
        server = PostgresServer(
            self.home.postgres,
            self.ports["postgres"],
            options=_POSTGRES_OPTIONS,
            password=self.home.secret("postgres"),
            log=self._log("postgres"),
        )
        self._supervisor.start(
            Part("postgres", 0, server.process, server.start, lambda: True, server.stop)
        )
        return server

    def _start_broker(self) -> Broker | ExistingBroker:
        if bootstrap := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
            return ExistingBroker(bootstrap)
        server = EmbeddedBroker(self._log("broker"), self.ports["kafka"])
        self._supervisor.start(
            Part(
                *("broker", 0, server.process, server.start, lambda: True, server.stop),
                again=self._topics(server),
            )
        )
        return server

    def _start_simulator(self) -> None:
        env = {
            "SIMULATOR_PORT": str(self.ports["simulator"]),
            "SIMULATOR_WEBHOOK_TARGET": self.url("gateway"),
            "SIMULATOR_STATE": str(self.home.folder / "simulator.json"),
            "SIMULATOR_DRIP": os.environ.get("ROOKERY_DRIP_SECONDS", "5"),
        }
        ready = self._answers(self.url("simulator") + "/_control/people")
        self._start_python("simulator", ["libs.simulator"], env, level=1, ready=ready)

    def _start_service(self, name: str, database: ServiceUrls, env: Mapping[str, str]) -> None:
        prefix = name.upper()
        env = {
            **env,
            f"{prefix}_DATABASE_URL": database.app,
            f"{prefix}_WORKER_DATABASE_URL": database.worker,
            f"{prefix}_PORT": str(self.ports[name]),
        }
        ready = self._answers(self.url(name) + "/readyz")
        self._start_python(name, [f"services.{name}", "run"], env, level=2, ready=ready)

    def _start_python(
        self,
        name: str,
        module: list[str],
        env: Mapping[str, str],
        *,
        level: int,
        ready: Callable[[], bool],
    ) -> None:
        process = ServerProcess(name, self._log(name))
        argv = [sys.executable, "-m", *module]
        full = {**os.environ, "PYTHONUNBUFFERED": "1", **env}

        def start() -> None:
            process.start(argv, env=full, cwd=ROOT)

        self._supervisor.start(Part(name, level, process, start, ready, process.stop))

    def _start_gateway(self) -> None:
        config = self.home.folder / "envoy.yaml"
        addresses = {name: f"127.0.0.1:{self.ports[name]}" for name in SERVICES}
        gateway = replace(
            Gateway.from_environment(), services=addresses, port=self.ports["gateway"]
        )
        config.write_text(render(gateway))
        envoy = EnvoyServer(config, self._log("gateway"), lambda: True)
        ready = self._answers(self.url("gateway") + "/", status=404)
        self._supervisor.start(Part("gateway", 3, envoy.process, envoy.start, ready, envoy.stop))

    def _database(self, postgres: Postgres, name: str) -> ServiceUrls:
        from libs.chassis.migrate import upgrade  # Alembic, once the servers are under way

        passwords = {role: self.home.secret(f"database.{name}.{role}") for role in ROLES}
        urls = provision(postgres.url, name, passwords)
        upgrade(ROOT / "services" / name / "migrations", urls.owner)
        return urls

    def _topics(self, broker: Broker | ExistingBroker) -> Callable[[], None]:
        def make() -> None:
            asyncio.run(ensure_topics(BrokerConfig(broker.bootstrap), TOPICS))

        return make

    def _status(
        self, postgres: Postgres, broker: Broker | ExistingBroker, people: dict[str, Any]
    ) -> dict[str, Any]:
        return {
            "pid": os.getpid(),  # a file left by a killed stack names a process that is gone
            "gateway": self.url("gateway"),
            "simulator": self.url("simulator"),
            "services": {name: self.url(name) for name in self.services},
            "database": postgres.url,
            "kafka": broker.bootstrap,
            **people,
            "webhook_secrets": demo.WEBHOOK_SECRETS,
        }

    def _answers(self, url: str, status: int = 200) -> Callable[[], bool]:
        def ready() -> bool:
            try:
                return self._http.get(url).status_code == status
            except httpx.TransportError:
                return False

        return ready

    def _log(self, name: str) -> Path:
        return self.home.logs / f"{name}.log"


def _welcome(status: Mapping[str, Any], home: Home) -> None:
    demo_login, operator = status.get("demo"), status.get("operator")
    console.print("\n[bold green]Rookery is ready.[/] Ctrl-C stops it; the data stays.\n")
    lines = {"Gateway": status["gateway"], "Simulator": status["simulator"]}
    if demo_login:
        lines["Demo login"] = f"{demo_login['email']}  {demo_login['password']}"
        lines["Workspace"] = demo_login["workspace_id"]
    if operator:
        lines["Operator"] = f"{operator['email']}  {operator['password']}"
    for name, url in status["services"].items():
        lines[name] = f"{url}/docs"
    lines["Logs"] = str(home.logs)
    lines["For scripts"] = str(home.status)
    for name, value in lines.items():
        console.print(f"  {name:<12} {value}", markup=False)
    console.print()
