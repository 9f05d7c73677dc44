"""The servers of a run: PostgreSQL with fsync on, and the broker asked for."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from libs.messaging.config import BrokerConfig
from libs.testing.servers import Broker, EmbeddedBroker, PostgresServer, kafka_dist
from libs.testing.servers.apache import apache_broker

POSTGRES = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_buffers": "512MB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    "max_connections": "100",
}


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """A durable server on a folder that goes when the run ends. Blocks."""
    with tempfile.TemporaryDirectory(prefix="rookery-bench-") as folder:
        server = PostgresServer(Path(folder) / "data", options=POSTGRES)
        server.start()
        try:
            yield server
        finally:
            server.stop("fast")


def broker_kind() -> str:
    """What production uses, `apache`, where it can run; ROOKERY_TEST_BROKER names another."""
    there = "apache" if kafka_dist.jars() or kafka_dist.can_fetch() else "embedded"
    return os.environ.get("ROOKERY_TEST_BROKER", there)


@contextmanager
def broker() -> Iterator[Broker]:
    """The broker of `broker_kind`, empty; fetches Apache Kafka at its first use. Blocks."""
    with tempfile.TemporaryDirectory(prefix="rookery-bench-") as folder:
        server: Broker
        if broker_kind() == "apache":
            if kafka_dist.jars() is None:
                kafka_dist.fetch()
            server = apache_broker(Path(folder) / "kafka")
        else:
            server = EmbeddedBroker(Path(folder) / "broker.log")
        server.start()
        try:
            yield server
        finally:
            server.stop()


def broker_config(server: Broker, *, partitions: int = 6) -> BrokerConfig:
    """How to reach it."""
    return BrokerConfig(
        bootstrap_servers=server.bootstrap,
        idempotence=server.supports_idempotence,
        partitions=partitions,
    )
