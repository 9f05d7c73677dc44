"""What only an operator sees of a stack: its databases, its topics, its logs."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import getsource
from pathlib import Path
from typing import Protocol

from aiokafka import AIOKafkaConsumer

from deploy.compose.engine import Container, Engine
from deploy.topics import TOPICS
from libs.testing.servers.postgres import PROGRAMS

_ALL_LINES = 1_000_000


class Inside(Protocol):
    """Each call blocks and reads everything there is."""

    def dump(self, service: str) -> str:
        """The database of a service as SQL."""

    def messages(self) -> str:
        """Headers, keys and values of every message in every topic."""

    def logs(self) -> Mapping[str, str]:
        """What each part has logged."""


@dataclass(frozen=True)
class LocalInside:
    """Of a stack of processes; `database` is a URL of its superuser."""

    home: Path
    database: str
    kafka: str

    def dump(self, service: str) -> str:
        url = self.database.rsplit("/", 1)[0] + f"/{service}"
        done = subprocess.run(
            [PROGRAMS / "pg_dump", url], capture_output=True, text=True, check=True
        )
        return done.stdout

    def messages(self) -> str:
        return asyncio.run(_messages(self.kafka))

    def logs(self) -> Mapping[str, str]:
        files = [path for path in (self.home / "logs").rglob("*") if path.is_file()]
        return {path.name: path.read_text(errors="replace") for path in files}


@dataclass(frozen=True)
class ComposeInside:
    """Of a stack of containers."""

    engine: Engine

    def container(self, service: str) -> Container:
        """The first container of a service."""
        return next(one for one in self.engine.containers() if one.service == service)

    def execute(self, service: str, *argv: str) -> str:
        """What a command prints inside a container. Raises EngineError when it fails."""
        return self.engine.run("exec", self.container(service).id, *argv)

    def dump(self, service: str) -> str:
        return self.execute(
            "postgres", "pg_dump", "--host=/var/run/postgresql", "--username=postgres", service
        )

    def messages(self) -> str:
        # Read by one of our own containers: Kafka is not reached from here.
        script = (
            "import asyncio\nfrom aiokafka import AIOKafkaConsumer\n"
            f"TOPICS = {TOPICS!r}\n{getsource(_messages)}\n"
            "print(asyncio.run(_messages('kafka:9092')))"
        )
        return self.execute("ingestion", "python", "-c", script)

    def logs(self) -> Mapping[str, str]:
        found = self.engine.containers()
        return {one.service: self.engine.logs(one, _ALL_LINES) for one in found}


async def _messages(bootstrap: str) -> str:
    consumer = AIOKafkaConsumer(
        *TOPICS, bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    parts: list[str] = []
    try:
        while True:
            fetched = await consumer.getmany(timeout_ms=1000)
            for records in fetched.values():
                parts += [f"{one.headers!r} {one.key!r} {one.value!r}\n" for one in records]
            # The end is what a fetch says: the local broker's own answer falls short of it.
            ends = [
                (await consumer.position(p), consumer.highwater(p)) for p in consumer.assignment()
            ]
            if not fetched and all(end is not None and place >= end for place, end in ends):
                return "".join(parts)
    finally:
        await consumer.stop()
