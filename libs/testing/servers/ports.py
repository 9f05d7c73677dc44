"""Loopback ports: finding a free one, and saying who holds a busy one."""

import errno
import random
import socket

import psutil  # type: ignore[import-untyped]

from libs.testing.servers.process import ServerError

LOOPBACK = "127.0.0.1"
# Below the range the kernel takes for outgoing connections (32768 up on Linux, 49152 up on macOS):
# a client that retries a dead server there could be given the server's own port.
_FIRST, _LAST = 20_000, 32_000


class PortBusy(ServerError):
    """Another process listens on the port."""

    def __init__(self, port: int, mend: str) -> None:
        """`mend` says what to do, as a sentence."""
        super().__init__(f"port {port} is busy{_by(holder(port))}. {mend}")
        self.port = port


def free_port() -> int:
    """A loopback port nobody listens on now. Another process may still take it before its use."""
    while True:
        port = random.randint(_FIRST, _LAST)
        if is_free(port):
            return port


def is_free(port: int) -> bool:
    """Whether a server could listen on 127.0.0.1:`port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
    # macOS lets 127.0.0.1 be bound beside a listener on every address.
    with socket.socket() as client:
        client.settimeout(0.5)
        return client.connect_ex((LOOPBACK, port)) != 0


def holder(port: int) -> str | None:
    """`name (pid 123)` of the listener on `port`, None where the system does not tell."""
    try:
        for link in psutil.net_connections("tcp"):
            if link.status == psutil.CONN_LISTEN and link.laddr.port == port and link.pid:
                return f"{psutil.Process(link.pid).name()} (pid {link.pid})"
    except (psutil.Error, OSError):  # macOS asks for root
        return None
    return None


def _by(who: str | None) -> str:
    return f", held by {who}" if who else ""
