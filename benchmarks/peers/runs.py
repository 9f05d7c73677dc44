"""How each peer is made to do the shared work: in events a second, its rows counted afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

from benchmarks.peers import install
from benchmarks.webhook_load import Load
from benchmarks.wire import connect, request
from libs.testing.servers import PostgresServer, ServerProcess, free_port

ROOT = Path(__file__).parents[2]
_SECRET = "benchmark-app-secret"
_AT_ONCE = 8
_FILL_BY = 100
_numbers = count()


@dataclass
class Library:
    """A peer that is a library: a program of ours, in an environment of the peer's, calls it."""

    postgres: PostgresServer
    command: Sequence[str]
    # A database whose log holds so many events.
    _filled: tuple[int, str] | None = field(default=None)

    async def append(self, events: int, per_call: int) -> float:
        """Events per second, committed by `per_call`, from eight callers at once."""
        database = await _database(self.postgres)
        return await self._run(database, "append", events, per_call, _AT_ONCE)

    async def fill(self, events: int) -> None:
        """Have a log to read. By one caller: nothing then depends on who commits first."""
        database = await _database(self.postgres)
        await self._run(database, "append", events, _FILL_BY, 1)
        self._filled = events, database

    async def project(self) -> float:
        """Events per second from that log into a table."""
        return await self._read("project")

    async def read(self) -> float:
        """Events per second from that log into a handler that does nothing."""
        return await self._read("read")

    async def _read(self, work: str) -> float:
        if self._filled is None:
            raise RuntimeError("fill the log first")
        events, database = self._filled
        return await self._run(database, work, events, 1, 1)

    async def _run(self, database: str, work: str, events: int, per_call: int, at: int) -> float:
        task = {"database": database, "work": work, "events": events, "per_call": per_call}
        result = await _printed([*self.command, json.dumps(task | {"at_once": at})])
        if result["rows"] != events:
            raise RuntimeError(f"{self.command}: {work} of {events} gave {result['rows']} rows")
        return events / result["seconds"]


def eventsourcing(postgres: PostgresServer) -> Library:
    """The Python library of that name. Blocks for its installation."""
    interpreter = install.python("eventsourcing")
    return Library(postgres, [str(interpreter), str(install.HERE / "eventsourcing/program.py")])


def emmett(postgres: PostgresServer) -> Library:
    """Emmett for Node. Blocks for its installation; raises install.Missing without Node."""
    return Library(postgres, ["node", str(install.node("emmett"))])


@dataclass
class Web:
    """FastAPI and SQLAlchemy, served by uvicorn in one process as ingestion is."""

    postgres: PostgresServer
    interpreter: Path

    async def append(self, webhooks: int, per_call: int) -> float:
        """Events per second: signed webhooks of `per_call` changes over HTTP, by our own load."""
        database, port = await _database(self.postgres), free_port()
        url = make_url(database).set(drivername="postgresql+psycopg")
        env = {
            "PEER_DATABASE": url.render_as_string(hide_password=False),
            "PEER_SECRET": _SECRET,
        }
        app = ["--app-dir", str(install.HERE / "sqlalchemy"), "app:app"]
        options = ["--port", str(port), "--no-access-log", "--log-level", "warning"]
        with tempfile.TemporaryDirectory() as folder:
            server = ServerProcess("uvicorn", Path(folder) / "uvicorn.log")
            argv = [str(self.interpreter), "-m", "uvicorn", *app, *options]
            server.start(argv, env={**os.environ, **env})
            try:
                await _answers(port, server)
                load = Load(port, _SECRET, webhooks, per_call)
                result = await _printed(
                    [sys.executable, "-m", "benchmarks.webhook_load", json.dumps(asdict(load))]
                )
            finally:
                await asyncio.to_thread(server.stop)
        rows = await asyncio.to_thread(_count_events, database)
        if rows != result["acknowledged"] * per_call:
            raise RuntimeError(f"{result['acknowledged']} acknowledged, but {rows} rows")
        return rows / result["seconds"]


def sqlalchemy(postgres: PostgresServer) -> Web:
    """The plain way. Blocks for its installation."""
    return Web(postgres, install.python("sqlalchemy"))


async def _database(postgres: PostgresServer) -> str:
    name = f"peer_{next(_numbers)}"
    async with await psycopg.AsyncConnection.connect(postgres.url, autocommit=True) as server:
        await server.execute(f"CREATE DATABASE {name}".encode())
    return make_url(postgres.url).set(database=name).render_as_string(hide_password=False)


async def _printed(argv: Sequence[str]) -> dict[str, float]:
    process = await asyncio.create_subprocess_exec(*argv, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    printed, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{argv[:3]} failed; its error stands above")
    result: dict[str, float] = json.loads(printed)
    return result


async def _answers(port: int, server: ServerProcess) -> None:
    async with asyncio.timeout(30):
        while server.alive:
            with suppress(OSError):
                async with await connect(f"http://127.0.0.1:{port}") as connection:
                    if (await connection.send(request("GET", "/readyz")))[0] == 200:
                        return
            await asyncio.sleep(0.05)
    raise RuntimeError(f"uvicorn {server.how_it_ended()}{server.tail()}")


def _count_events(database: str) -> int:
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT count(*) FROM events").fetchone()
    return int(row[0]) if row else 0
