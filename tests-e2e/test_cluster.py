"""Three Kafka brokers and several processes of each service are broken while webhooks arrive.

What must hold is that of `test_faults.py`; every webhook is accepted by one instance or another as
long as PostgreSQL is there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from harness import storm
from harness.drill import Drill, Fault, run
from harness.installation import Installation
from harness.ledger import Books
from harness.soak import Soak
from libs.testing.fixtures import own_cluster, own_postgres
from libs.testing.servers.cluster import ApacheCluster
from libs.testing.servers.kafka_node import KafkaNode
from libs.testing.serving import until

REPLICAS = {"ingestion": 3, "analytics": 2, "audit": 2, "accounts": 2}
# Longer than a client waits for an answer, and than a reader may be silent.
STOPPED_SECONDS = 12.0
TOPIC = "ingestion.events"


@pytest.fixture(scope="module")
def cluster() -> Iterator[ApacheCluster]:
    """Three brokers of this module's own."""
    with own_cluster() as server:
        yield server


@pytest.fixture(scope="module")
def installation(
    cluster: ApacheCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """The spine on them, in several processes of each service."""
    with own_postgres() as postgres:
        running = Installation(
            tmp_path_factory.mktemp("cluster"), postgres, cluster, replicas=REPLICAS
        )
        try:
            running.start()
            yield running
        finally:
            running.stop()


@pytest.fixture(scope="module")
async def books(installation: Installation) -> Books:
    books = Books(installation)
    await books.open()
    return books


@pytest.fixture
async def drill(installation: Installation, books: Books) -> Drill:
    """Twenty new accounts and a load on them that does not run yet."""
    return await Drill.of(installation, books)


async def a_broker_is_killed(drill: Drill) -> None:
    await _killed_and_back(drill, _cluster(drill).nodes[0])


def stopped(count: int) -> Fault:
    """So many brokers at once: their connections hang."""

    async def fault(drill: Drill) -> None:
        down = _cluster(drill).nodes[-count:]
        for node in down:
            node.pause()
        try:
            await asyncio.sleep(STOPPED_SECONDS)
        finally:
            for node in down:
                node.resume()

    fault.__name__ = f"{count}_of_3_brokers_are_stopped"
    return fault


async def the_controller_is_killed(drill: Drill) -> None:
    cluster = _cluster(drill)
    first = cluster.controller()
    await _killed_and_back(drill, first)
    assert cluster.controller() is not first


async def brokers_are_restarted_one_after_the_other(drill: Drill) -> None:
    cluster = _cluster(drill)
    for node in cluster.nodes:
        await asyncio.to_thread(node.stop)
        await drill.load.more(50)
        await asyncio.to_thread(cluster.start_node, node)
        await asyncio.to_thread(cluster.wait_in_sync)


async def a_leader_is_killed_in_the_middle_of_a_batch(drill: Drill) -> None:
    cluster = _cluster(drill)
    leader = cluster.leader(TOPIC, 0)
    leader.pause()
    await _relay_is_waiting(drill)
    await _killed_and_back(drill, leader)


@pytest.mark.parametrize(
    "fault",
    [
        a_broker_is_killed,
        stopped(1),
        stopped(2),
        the_controller_is_killed,
        a_leader_is_killed_in_the_middle_of_a_batch,
        brokers_are_restarted_one_after_the_other,
    ],
)
async def test_every_webhook_is_accepted_at_once_and_applied_once_when(
    fault: Fault, drill: Drill
) -> None:
    recovery = await run(drill, fault)
    print(f"{fault.__name__}: all applied {recovery:.1f} s after it")
    assert drill.load.statuses == {200}


async def test_nothing_is_sent_on_while_too_few_brokers_are_left(drill: Drill) -> None:
    """Two copies or none: what the relay's cursor has passed outlives the last broker."""
    cluster = _cluster(drill)

    async def two_are_killed(drill: Drill) -> None:
        for node in cluster.nodes[1:]:
            node.kill()
        await drill.load.more(50)
        before = await drill.books.relayed()
        await drill.load.more(300)
        assert await drill.books.relayed() == before
        await asyncio.to_thread(cluster.start)

    await run(drill, two_are_killed)
    assert drill.load.statuses == {200}


async def test_a_process_killed_every_few_seconds_is_missed_by_nobody(
    drill: Drill, request: pytest.FixtureRequest
) -> None:
    seed = request.config.getoption("--seed")
    gusts = storm.Storm(
        storm.processes(drill.installation),
        seed,
        weights=(1, 0, 0),
        spare=storm.replicas(drill.installation),
    )

    async def processes_are_killed(drill: Drill) -> None:
        await gusts.blow(20)

    print(f"seed {seed}")
    try:
        recovery = await run(drill, processes_are_killed)
    finally:
        print(gusts.timeline())
    print(f"{len(gusts.strikes)} strikes: all applied {recovery:.1f} s after them")
    assert drill.load.lost == []
    assert len(gusts.strikes) >= 5


# Has limits of its own, and may be told to go on for hours.
@pytest.mark.timeout(0)
async def test_whatever_breaks_at_random_is_got_over(
    installation: Installation, books: Books, request: pytest.FixtureRequest
) -> None:
    """Brokers, PostgreSQL and processes, several at a time: see `make soak`."""
    soak = Soak(installation, books, seed=request.config.getoption("--seed"))
    await soak.run(60 * request.config.getoption("--soak"))


async def _killed_and_back(drill: Drill, node: KafkaNode) -> None:
    """Down until others have its work, and well again."""
    cluster = _cluster(drill)
    node.kill()
    await drill.load.more(300)
    await drill.all_applied()
    await asyncio.to_thread(cluster.start_node, node)
    await asyncio.to_thread(cluster.wait_in_sync)


async def _relay_is_waiting(drill: Drill) -> None:
    """Until a second's load has not moved the relay's cursor."""

    async def still() -> bool:
        before = await drill.books.relayed()
        began = time.monotonic()
        await drill.load.more(100)
        return await drill.books.relayed() == before and time.monotonic() > began

    await until(still, timeout=30, what="the relay waiting for an acknowledgement")


def _cluster(drill: Drill) -> ApacheCluster:
    cluster = drill.installation.broker
    assert isinstance(cluster, ApacheCluster)
    return cluster
