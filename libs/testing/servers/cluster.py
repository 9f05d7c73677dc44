"""Apache Kafka (KRaft) of one node or several, run by the Java on the path."""

import base64
import json
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from libs.testing.servers import wire
from libs.testing.servers.broker import Kind
from libs.testing.servers.kafka_node import KafkaNode, Place
from libs.testing.servers.process import ServerError, wait_until

IN_SYNC_SECONDS = 60.0


class ApacheCluster:
    """See `Broker`, whose calls are for all nodes at once. Each node can be broken by itself too.

    Nodes are brokers and controllers alike. Topics keep as many copies as there are nodes, at
    most three, and a write is acknowledged by all but one of them; leaders that lack acknowledged
    messages are never elected. Data survives stop, kill and restart.
    """

    kind: Kind = "apache"
    supports_idempotence = True

    def __init__(self, data: Path, size: int = 3) -> None:
        """Start nothing; free ports are taken and kept. Needs the jar files of `kafka_dist`."""
        places = [Place.free(number) for number in range(1, size + 1)]
        self.nodes: Sequence[KafkaNode] = [
            KafkaNode(data / f"node-{place.id}", place, places) for place in places
        ]
        self.replication = min(3, size)
        self._cluster_id = _new_id()

    @property
    def bootstrap(self) -> str:
        """`host:port` of every node."""
        return ",".join(node.place.bootstrap for node in self.nodes)

    @property
    def pid(self) -> int:
        """The first node's process id."""
        return self.nodes[0].process.pid

    def start(self) -> None:
        """Start the nodes that do not run; wait until all of them are in sync."""
        down = [node for node in self.nodes if not node.process.alive]
        with ThreadPoolExecutor(len(self.nodes)) as pool:  # formatting takes a second each
            list(pool.map(lambda node: node.launch(self._cluster_id), down))
        for node in down:
            node.wait_ready()
        self.wait_in_sync()

    def start_node(self, node: KafkaNode) -> None:
        """Start one node and wait until the cluster counts it in; a majority must run."""
        node.launch(self._cluster_id)
        node.wait_ready()

    def stop(self) -> None:
        """Shut down in order. Idempotent."""
        for node in self.nodes:
            node.process.ask_to_stop()
        for node in self.nodes:
            node.stop()

    def kill(self) -> None:
        """SIGKILL all nodes. Idempotent."""
        for node in self.nodes:
            node.kill()

    def pause(self) -> None:
        """SIGSTOP all nodes: connections hang."""
        for node in self.nodes:
            node.pause()

    def resume(self) -> None:
        """SIGCONT all nodes."""
        for node in self.nodes:
            node.resume()

    def wipe(self) -> None:
        """Come back empty as a new cluster."""
        self.kill()
        for node in self.nodes:
            node.forget()
        self._cluster_id = _new_id()
        self.start()

    def controller(self) -> KafkaNode:
        """The node that leads the controllers, as the nodes last noted.

        Raises ServerError when none has noted any.
        """
        states = []
        for node in self.nodes:
            try:
                states.append(json.loads(node.quorum_state.read_text()))
            except (OSError, ValueError):  # new, or being replaced just now
                continue
        led = [state for state in states if state["leaderId"] > 0]
        if not led:
            raise ServerError("no node of the cluster has noted a controller")
        newest = max(led, key=lambda state: int(state["leaderEpoch"]))
        return self.nodes[int(newest["leaderId"]) - 1]

    def leader(self, topic: str, partition: int) -> KafkaNode:
        """The node that leads the partition. Raises ServerError when none does."""
        for found in self._partitions():
            if (found.topic, found.partition) == (topic, partition) and found.leader > 0:
                return self.nodes[found.leader - 1]
        raise ServerError(f"nobody leads {topic}-{partition}")

    def wait_in_sync(self) -> None:
        """Wait until every copy of every partition is in sync, as before the next node may go.

        Raises ServerError after a minute.
        """

        def in_sync() -> bool:
            brokers = wire.brokers(self.nodes[0].place.bootstrap)
            return len(brokers) == len(self.nodes) and all(
                found.leader > 0 and found.in_sync == found.copies for found in self._partitions()
            )

        if not wait_until(in_sync, IN_SYNC_SECONDS):
            behind = [found for found in self._partitions() if found.in_sync < found.copies]
            raise ServerError(f"not in sync after {IN_SYNC_SECONDS:.0f} s: {behind[:3]}")

    def _partitions(self) -> list[wire.Partition]:
        """Of all topics, as the first node that answers knows them."""
        for node in self.nodes:
            try:
                return wire.partitions(node.place.bootstrap)
            except OSError:
                continue
        raise ServerError("no node of the cluster answers")


def _new_id() -> str:
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
