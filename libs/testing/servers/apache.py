"""A single Apache Kafka node (KRaft) on two loopback ports, run by the Java on the path."""

import base64
import shutil
import subprocess
import uuid
from pathlib import Path

from libs.testing.servers import kafka_dist, wire
from libs.testing.servers.broker import Broker, Kind
from libs.testing.servers.docker import DockerBroker, docker_runs
from libs.testing.servers.ports import LOOPBACK, PortBusy, free_port, is_free
from libs.testing.servers.process import ServerError, ServerProcess

# The short session: after a kill the controller lets the node in again only when its last session
# has run out.
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=2000
"""


def apache_broker(data: Path) -> Broker:
    """An Apache Kafka with its files under `data`: with Java where it can be, else in Docker.

    Fetches nothing. Raises ServerError saying what to install when neither can be.
    """
    if kafka_dist.jars() is not None and shutil.which("java"):
        return ApacheBroker(data)
    if docker_runs():
        return DockerBroker()
    raise ServerError(
        "No Apache Kafka to run. Install Java 17 and Maven and run "
        "`make test-kafka`, or start Docker."
    )


class ApacheBroker:
    """See `Broker`. Data lives in `data` and survives stop, kill and restart."""

    kind: Kind = "apache"
    supports_idempotence = True

    def __init__(self, data: Path, port: int | None = None) -> None:
        """`port` None takes a free one and keeps it; needs the jar files of `kafka_dist`."""
        self.data = data.absolute()
        self.port = port or free_port()
        self._controller = free_port()
        self.process = ServerProcess("Apache Kafka", self.data / "kafka.log")

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int:
        """The broker's process id."""
        return self.process.pid

    def start(self) -> None:
        """Format the data folder when new, start, wait until clients are served."""
        for port in (self.port, self._controller):
            if not is_free(port):
                raise PortBusy(port, "Stop that process or choose another port.")
        properties = self.data / "server.properties"
        logs = self.data / "logs"
        self.data.mkdir(parents=True, exist_ok=True)
        properties.write_text(
            _PROPERTIES.format(
                host=LOOPBACK, port=self.port, controller=self._controller, data=logs
            )
        )
        if not (logs / "meta.properties").exists():
            self._format(properties)
        self.process.start([*_java("-Xmx512m"), "kafka.Kafka", str(properties)])
        self.process.wait_ready(lambda: wire.is_ready(self.bootstrap), timeout=60)

    def stop(self) -> None:
        """Shut down in order. Idempotent."""
        self.process.stop(timeout=15)

    def kill(self) -> None:
        """SIGKILL. Idempotent."""
        self.process.kill()

    def pause(self) -> None:
        """SIGSTOP: connections hang."""
        self.process.pause()

    def resume(self) -> None:
        """SIGCONT."""
        self.process.resume()

    def wipe(self) -> None:
        """Come back empty as a new cluster."""
        self.kill()
        shutil.rmtree(self.data / "logs", ignore_errors=True)
        self.start()

    def _format(self, properties: Path) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        done = subprocess.run(
            [
                *_java("-Xmx128m"),
                # Joined by "=": an id may begin with a dash and look like an option.
                *("kafka.tools.StorageTool", "format", f"--cluster-id={cluster}"),
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
