"""One node of an Apache Kafka cluster: broker and controller in one Java process."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from libs.testing.servers import kafka_dist, wire
from libs.testing.servers.ports import LOOPBACK, PortBusy, free_port, is_free
from libs.testing.servers.process import ServerError, ServerProcess

READY_SECONDS = 90.0
HEAP = "-Xmx320m"

# A killed node is let in again only when its last session has run out, so sessions are short; not
# so short that a busy machine loses nodes that are well.
_PROPERTIES = """\
process.roles=broker,controller
node.id={id}
controller.quorum.voters={voters}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
unclean.leader.election.enable=false
offsets.topic.replication.factor={copies}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={in_sync}
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
broker.heartbeat.interval.ms=500
broker.session.timeout.ms={session}
"""


@dataclass(frozen=True)
class Place:
    """A node's id and its two loopback ports, which it keeps."""

    id: int
    port: int
    controller: int

    @classmethod
    def free(cls, number: int) -> "Place":
        """On two ports that nobody listens on now."""
        return cls(number, free_port(), free_port())

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients."""
        return f"{LOOPBACK}:{self.port}"


class KafkaNode:
    """See `Broker` for the calls. Data lives in `data` and survives stop, kill and restart."""

    def __init__(self, data: Path, place: Place, quorum: list[Place]) -> None:
        """`quorum` are all nodes of the cluster, this one too. Needs `kafka_dist`'s jar files."""
        self.data = data.absolute()
        self.place = place
        self._quorum = quorum
        self.process = ServerProcess(f"Apache Kafka {place.id}", self.data / "kafka.log")

    def launch(self, cluster_id: str) -> None:
        """Format the data folder when new and start; does not wait.

        Raises PortBusy, or ServerError when Java fails.
        """
        for port in (self.place.port, self.place.controller):
            if not is_free(port):
                raise PortBusy(port, "Stop that process or choose another port.")
        properties = self.data / "server.properties"
        self.data.mkdir(parents=True, exist_ok=True)
        properties.write_text(self._properties())
        if not (self._logs / "meta.properties").exists():
            _format(properties, cluster_id)
        self.process.start([*_java(HEAP), "kafka.Kafka", str(properties)])

    def wait_ready(self) -> None:
        """Wait until the cluster counts it in. Raises ServerError when it does not within 90 s."""
        self.process.wait_ready(
            lambda: self.place.id in wire.brokers(self.place.bootstrap), READY_SECONDS
        )

    def stop(self) -> None:
        """Shut down in order, its leaderships handed over first. Idempotent."""
        self.process.stop(timeout=30)

    def kill(self) -> None:
        """SIGKILL. Idempotent."""
        self.process.kill()

    def pause(self) -> None:
        """SIGSTOP: connections hang."""
        self.process.pause()

    def resume(self) -> None:
        """SIGCONT."""
        self.process.resume()

    def forget(self) -> None:
        """Throw the data of a stopped node away."""
        shutil.rmtree(self._logs, ignore_errors=True)

    @property
    def quorum_state(self) -> Path:
        """The file in which it notes who leads the controllers."""
        return self._logs / "__cluster_metadata-0" / "quorum-state"

    @property
    def _logs(self) -> Path:
        return self.data / "logs"

    def _properties(self) -> str:
        copies = min(3, len(self._quorum))
        return _PROPERTIES.format(
            id=self.place.id,
            voters=",".join(f"{one.id}@{LOOPBACK}:{one.controller}" for one in self._quorum),
            host=LOOPBACK,
            port=self.place.port,
            controller=self.place.controller,
            data=self._logs,
            copies=copies,
            in_sync=max(1, copies - 1),
            session=2_000 if copies == 1 else 4_000,
        )


def _format(properties: Path, cluster_id: str) -> None:
    done = subprocess.run(
        [
            *_java("-Xmx128m"),
            # Joined by "=": an id may begin with a dash and look like an option.
            *("kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}"),
            *("-c", str(properties)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ServerError(f"Kafka's storage could not be formatted:\n{done.stderr}")


def _java(memory: str) -> list[str]:
    jars = kafka_dist.jars()
    if jars is None:
        raise ServerError("Apache Kafka is not here: run `python -m libs.testing.servers`.")
    # The serial collector and the first compiler only: one small node that starts quickly.
    quick = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    return ["java", memory, *quick, "-cp", f"{jars}/*"]
