"""What every Kafka-protocol broker can be asked to do, whichever it is."""

from typing import Literal, Protocol

from libs.testing.servers import wire

Kind = Literal["embedded", "apache"]


class Broker(Protocol):
    """A broker, or several in a cluster, on loopback ports that stay the same over restarts.

    Every call blocks, and is for all nodes.
    """

    @property
    def kind(self) -> Kind:
        """`embedded` (development; forgets everything when it stops) or `apache`."""

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients, several separated by commas."""

    @property
    def replication(self) -> int:
        """How many copies a topic should have."""

    @property
    def supports_idempotence(self) -> bool:
        """Whether producers may be idempotent."""

    @property
    def pid(self) -> int:
        """The (first) broker's process id."""

    def start(self) -> None:
        """Start and wait until clients are served. Raises ServerError saying what to do."""

    def stop(self) -> None:
        """Shut down in order. Idempotent."""

    def kill(self) -> None:
        """SIGKILL. Idempotent."""

    def pause(self) -> None:
        """SIGSTOP: connections hang."""

    def resume(self) -> None:
        """SIGCONT."""

    def wipe(self) -> None:
        """Kill, forget every topic and offset, and come back empty as a new cluster."""


class ExistingBroker:
    """A broker started by somebody else: used, never started, stopped or wiped."""

    kind: Kind = "apache"

    def __init__(self, bootstrap: str) -> None:
        """`bootstrap` is `host:port`, more of them separated by commas."""
        self.bootstrap = bootstrap

    @property
    def replication(self) -> int:
        """A copy on each of its nodes, at most three. Raises OSError when it does not answer."""
        nodes = len(wire.brokers(self.bootstrap))
        if not nodes:
            raise ConnectionError(f"no broker answers at {self.bootstrap}")
        return min(3, nodes)

    @property
    def supports_idempotence(self) -> bool:
        """Asked of the broker itself. Raises OSError when it does not answer."""
        return wire.supports_idempotence(self.bootstrap)
