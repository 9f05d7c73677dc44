"""Apache Kafka in a container, for machines with Docker but without Java and Maven."""

import subprocess

from docker.models.containers import Container  # type: ignore[import-untyped]
from testcontainers.core.container import DockerContainer

from libs.testing.servers import wire
from libs.testing.servers.broker import Kind
from libs.testing.servers.kafka_dist import VERSION
from libs.testing.servers.ports import LOOPBACK, free_port
from libs.testing.servers.process import ServerError, wait_until

_SETTINGS = {
    "KAFKA_NODE_ID": "1",
    "KAFKA_PROCESS_ROLES": "broker,controller",
    "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
    "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
    "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
    "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
    "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
}


def docker_runs() -> bool:
    """Whether a Docker daemon answers."""
    try:
        return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


class DockerBroker:
    """See `Broker`. Data lives in the container: it survives stop and kill, not `wipe`."""

    kind: Kind = "apache"
    supports_idempotence = True
    replication = 1

    def __init__(self) -> None:
        """Start nothing. A free port is taken and kept."""
        self.port = free_port()
        self._container: DockerContainer | None = None

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int:
        """The broker's process id on the Docker host."""
        wrapped = self._running()
        wrapped.reload()
        return int(wrapped.attrs["State"]["Pid"])

    def start(self) -> None:
        """Make or restart the container and wait until clients are served."""
        if self._container is None:
            container = DockerContainer(f"apache/kafka:{VERSION}").with_bind_ports(9092, self.port)
            for name, value in _SETTINGS.items():
                container = container.with_env(name, value)
            # Clients come in by the port bound on the host, so that is what is advertised.
            self._container = container.with_env(
                "KAFKA_ADVERTISED_LISTENERS", f"PLAINTEXT://{self.bootstrap}"
            )
            self._container.start()
        else:
            self._running().start()
        if not wait_until(lambda: wire.is_ready(self.bootstrap), timeout=90):
            text = self._running().logs(tail=15).decode(errors="replace")
            raise ServerError(f"Kafka's container was not ready after 90 s\n{text}")

    def stop(self) -> None:
        """Shut down in order; the container stays for the next start. Idempotent."""
        if self._container is not None:
            self._running().stop()

    def kill(self) -> None:
        """SIGKILL. Idempotent."""
        if self._container is not None and self._state() == "running":
            self._running().kill()

    def pause(self) -> None:
        """Freeze the container: connections hang."""
        self._running().pause()

    def resume(self) -> None:
        """Go on after `pause`."""
        self._running().unpause()

    def wipe(self) -> None:
        """Come back empty, as a new container on the same port."""
        if self._container is not None:
            self._container.stop(force=True)
            self._container = None
        self.start()

    def _state(self) -> str:
        wrapped = self._running()
        wrapped.reload()
        return str(wrapped.status)

    def _running(self) -> Container:
        if self._container is None:
            raise ServerError("Kafka's container is not started")
        return self._container.get_wrapped_container()
