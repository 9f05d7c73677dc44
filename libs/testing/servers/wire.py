"""Two questions in Kafka's own protocol, asked over a plain socket: is it up, what can it do?

Kafka protocol guide: request header v1 is api key, version, correlation id, client id; every
message is preceded by its length.
"""

import socket
import struct
import time

_METADATA, _INIT_PRODUCER_ID = 3, 22
_TIMEOUT_SECONDS = 2.0
_COORDINATOR_LOADING = 14  # a broker that has just started
_LOADING_SECONDS = 15.0


def is_ready(bootstrap: str) -> bool:
    """Whether the broker at `bootstrap` answers and counts itself as part of its cluster."""
    try:
        # Metadata v1 with an empty list of topics: brokers only.
        answer = _ask(bootstrap, _METADATA, 1, struct.pack(">i", 0))
        return bool(struct.unpack_from(">i", answer)[0])
    except (OSError, struct.error):
        return False


def supports_idempotence(bootstrap: str) -> bool:
    """Whether the broker gives out producer ids. Raises OSError when it does not answer."""
    # Asked for one, as the embedded broker lists the call and then fails it. InitProducerId v0:
    # no transactional id, a timeout in ms; answered with a throttle time and an error code.
    deadline = time.monotonic() + _LOADING_SECONDS
    while True:
        answer = _ask(bootstrap, _INIT_PRODUCER_ID, 0, struct.pack(">hi", -1, 1000))
        _, error = struct.unpack_from(">ih", answer)
        if error != _COORDINATOR_LOADING or time.monotonic() > deadline:
            return bool(error == 0)
        time.sleep(0.05)


def _ask(bootstrap: str, key: int, version: int, body: bytes) -> bytes:
    host, _, port = bootstrap.split(",", 1)[0].rpartition(":")
    name = b"rookery"
    request = struct.pack(">hhih", key, version, 1, len(name)) + name + body
    with socket.create_connection((host, int(port)), timeout=_TIMEOUT_SECONDS) as link:
        link.sendall(struct.pack(">i", len(request)) + request)
        (length,) = struct.unpack(">i", _read(link, 4))
        return _read(link, length)[4:]  # after the correlation id


def _read(link: socket.socket, count: int) -> bytes:
    parts = b""
    while len(parts) < count:
        part = link.recv(count - len(parts))
        if not part:
            raise ConnectionError("the broker closed the connection")
        parts += part
    return parts
