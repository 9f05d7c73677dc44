"""pytest fixtures: a real PostgreSQL and a real broker, shared or one's own.

`ROOKERY_TEST_BROKER=embedded|apache|cluster` chooses the broker (default embedded; `cluster` is
three nodes of Apache Kafka). `DATABASE_URL` and `KAFKA_BOOTSTRAP_SERVERS` make the shared ones
existing servers instead.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from libs.testing.servers import (
    Broker,
    EmbeddedBroker,
    ExistingBroker,
    ExistingPostgres,
    Postgres,
    PostgresServer,
    kafka_dist,
)
from libs.testing.servers.apache import apache_broker, apache_cluster
from libs.testing.servers.cluster import ApacheCluster
from libs.testing.servers.process import guard


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--only-broker`."""
    parser.addoption(
        "--only-broker", action="store_true", help="run only the tests that use a broker"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what never talks to a broker when `--only-broker` is given."""
    if config.getoption("--only-broker"):
        used = [i for i in items if {"broker", "fresh_broker"} & set(_fixtures(i))]
        config.hook.pytest_deselected(items=[i for i in items if i not in used])
        items[:] = used


def _fixtures(item: pytest.Item) -> list[str]:
    return item.fixturenames if isinstance(item, pytest.Function) else []


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The PostgreSQL of the whole run; make databases of your own in it."""
    if url := os.environ.get("DATABASE_URL"):
        yield ExistingPostgres(url)
        return
    with own_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker | ExistingBroker]:
    """The broker of the whole run; make topics and groups of your own in it."""
    if bootstrap := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        yield ExistingBroker(bootstrap)
        return
    with own_broker() as server:
        yield server


@pytest.fixture
def fresh_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL of the test's own, to be killed, paused and restarted at will."""
    with own_postgres() as server:
        yield server


@pytest.fixture
def fresh_broker() -> Iterator[Broker]:
    """A broker of the test's own, to be killed, paused and wiped at will."""
    with own_broker() as server:
        yield server


@contextmanager
def own_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL for as long as the block runs, to be broken at will."""
    with scratch_folder() as folder:
        server = PostgresServer(folder / "postgres")
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")


_BROKERS: Mapping[str, Callable[[Path], Broker]] = {
    "embedded": lambda folder: EmbeddedBroker(folder / "broker.log"),
    "apache": apache_broker,
    "cluster": apache_cluster,
}


@contextmanager
def own_broker() -> Iterator[Broker]:
    """A broker of the chosen kind for as long as the block runs, to be broken at will."""
    kind = os.environ.get("ROOKERY_TEST_BROKER", "embedded")
    if kind not in _BROKERS:
        raise pytest.UsageError(f"ROOKERY_TEST_BROKER={kind}: say {', '.join(_BROKERS)}")
    with scratch_folder() as folder:
        server = _BROKERS[kind](folder / "broker")
        server.start()
        try:
            yield server
        finally:
            # What it holds is thrown away, so nothing is gained by an orderly end.
            server.kill()


@contextmanager
def own_cluster() -> Iterator[ApacheCluster]:
    """Three nodes of Apache Kafka for as long as the block runs, to be broken at will.

    Fetches the jar files where that can be done, and skips the test where it cannot.
    """
    if kafka_dist.jars() is None and not kafka_dist.can_fetch():
        pytest.skip("a cluster of Apache Kafka needs Java 17 and Maven")
    kafka_dist.fetch()
    with scratch_folder() as folder:
        cluster = apache_cluster(folder)
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.kill()


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder that is removed at the end, even of a killed run."""
    # Not pytest's tmp_path: its parents are closed to the user PostgreSQL runs as under root.
    folder = Path(tempfile.mkdtemp(prefix="rookery-test-"))
    guard.order(f"folder {folder}")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        guard.order(f"keep {folder}")
