"""How a service starts: `python -m services.<name> run|api|relay|consume|work|migrate`."""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog
import uvicorn
import uvloop
from fastapi import FastAPI

from libs.chassis import garbage, logging, migrate
from libs.chassis.http import create_app
from libs.chassis.settings import ServiceSettings
from libs.chassis.telemetry import TELEMETRY
from libs.eventlog.relay import Relay
from libs.projections.runner import Runner

log = structlog.get_logger(__name__)
ROLES = ("run", "api", "relay", "consume", "work", "migrate")
Work = Callable[[asyncio.Event], Awaitable[None]]


@dataclass(frozen=True)
class Service:
    """All parts of a service, wired. Each long-running part ends when its stop event is set."""

    name: str
    settings: ServiceSettings
    migrations: Path
    app: FastAPI
    relay: Relay | None = None
    runners: Sequence[Runner] = ()
    workers: Mapping[str, Work] = field(default_factory=dict)
    close: Callable[[], Awaitable[None]] | None = None


def main(name: str, build: Callable[[], Service]) -> None:
    """Run one role of the service, or all of them in one process, until SIGTERM or SIGINT.

    `build` is called inside the running event loop. Exits 1 when a part fails for good.
    """
    parser = argparse.ArgumentParser(prog=f"python -m services.{name}")
    parser.add_argument("role", choices=ROLES, help="run = all roles in one process")
    role = parser.parse_args().role
    try:
        if role == "migrate":
            _migrate(name, build)
        else:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_serve(build, role))
    except KeyboardInterrupt:
        sys.exit(130)


def _migrate(name: str, build: Callable[[], Service]) -> None:
    async def find() -> tuple[Path, str]:
        service = build()
        owner = service.settings.owner_database_url
        if owner is None:
            sys.exit(f"Set {name.upper()}_OWNER_DATABASE_URL: migrations run as {name}_owner")
        if service.close is not None:
            await service.close()
        return service.migrations, owner.get_secret_value()

    migrate.upgrade(*asyncio.run(find()))


async def _serve(build: Callable[[], Service], role: str) -> None:
    service = build()
    logging.configure(service.name, service.settings.log_level)
    end_telemetry = TELEMETRY.start(service.name)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    parts: dict[str, Work] = {}
    if role in {"run", "api"}:
        parts["api"] = lambda stop: serve_http(service.app, service.settings, stop)
    else:
        parts["status"] = lambda stop: _serve_status(service, stop)
    if role in {"run", "relay"} and service.relay is not None:
        parts["relay"] = service.relay.run
    if role in {"run", "consume"}:
        parts |= {runner.reader.name: runner.run for runner in service.runners}
    if role in {"run", "work"}:
        parts |= service.workers
    garbage.collect_rarely()
    log.info("starting", role=role, parts=sorted(parts))
    try:
        async with asyncio.TaskGroup() as group:
            for name, part in parts.items():
                group.create_task(_part(name, part, stop), name=name)
    except* Exception as failures:
        for failure in failures.exceptions:
            log.exception("a part failed", exc_info=failure)
        sys.exit(1)
    finally:
        if service.close is not None:
            await service.close()
        end_telemetry()
        log.info("stopped")


async def _part(name: str, part: Work, stop: asyncio.Event) -> None:
    try:
        await part(stop)
    except asyncio.CancelledError:
        # A task group takes no notice of a part that some library's own cancellation has ended.
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
    if not stop.is_set():
        raise RuntimeError(f"{name} ended by itself")


async def _serve_status(service: Service, stop: asyncio.Event) -> None:
    """Health and metrics of a role without an API; it works without them where the port is taken."""

    async def ready() -> None:
        return None

    try:
        await serve_http(create_app(service.name, ready=ready), service.settings, stop)
    except OSError as error:
        log.warning("no health and no metrics", error=type(error).__name__)
        await stop.wait()


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: `main` has its own, for all parts at once."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve_http(app: FastAPI, settings: ServiceSettings, stop: asyncio.Event) -> None:
    """Serve until `stop`; requests under way get five seconds to finish. Raises when the port is taken."""
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=5,
            lifespan="on",
        )
    )
    listener = socket.create_server((settings.host, settings.port), backlog=2048, reuse_port=False)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    stopping.cancel()
    await serving
