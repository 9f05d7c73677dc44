"""Questions in Kafka's own protocol over a plain socket: is it up, what can it do, who leads?

Kafka protocol guide: request header v1 is api key, version, correlation id, client id; every
message is preceded by its length.
"""

import socket
import struct
import time
from dataclasses import dataclass

_METADATA, _INIT_PRODUCER_ID = 3, 22
_TIMEOUT_SECONDS = 2.0
_COORDINATOR_LOADING = 14  # a broker that has just started
_LOADING_SECONDS = 15.0


@dataclass(frozen=True)
class Partition:
    """Where a partition's copies are, by node id; `leader` -1: nobody leads it."""

    topic: str
    partition: int
    leader: int
    copies: frozenset[int]
    in_sync: frozenset[int]


def is_ready(bootstrap: str) -> bool:
    """Whether the broker at `bootstrap` answers and counts itself as part of its cluster."""
    return bool(brokers(bootstrap))


def brokers(bootstrap: str) -> set[int]:
    """The ids of the nodes that the broker at `bootstrap` counts in; none when it is silent."""
    try:
        # Metadata v1 with an empty list of topics: brokers only.
        return _Metadata(_ask(bootstrap, _METADATA, 1, struct.pack(">i", 0))).brokers
    except (OSError, struct.error):
        return set()


def partitions(bootstrap: str) -> list[Partition]:
    """Every partition of every topic. Raises OSError when the broker does not answer."""
    return _Metadata(_ask(bootstrap, _METADATA, 1, struct.pack(">i", -1))).partitions


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


class _Metadata:
    """Metadata response v1: brokers (id, host, port, rack), the controller, topics (error, name,
    internal, partitions (error, number, leader, copies, in sync)); lists are preceded by their
    length.
    """

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._at = 0
        self.brokers = {self._broker() for _ in range(self._int())}
        self._int()  # whom to send administrative requests to, any node
        self.partitions = [one for _ in range(self._int()) for one in self._topic()]

    def _broker(self) -> int:
        number = self._int()
        self._text()
        self._int()
        self._text()
        return number

    def _topic(self) -> list[Partition]:
        self._take(">h")
        name = self._text()
        self._take(">?")
        return [self._partition(name) for _ in range(self._int())]

    def _partition(self, topic: str) -> Partition:
        self._take(">h")
        number, leader = self._int(), self._int()
        copies = frozenset(self._int() for _ in range(self._int()))
        in_sync = frozenset(self._int() for _ in range(self._int()))
        return Partition(topic, number, leader, copies, in_sync)

    def _text(self) -> str:
        length = max(0, self._take(">h"))  # -1 is null
        self._at += length
        return self._answer[self._at - length : self._at].decode()

    def _int(self) -> int:
        return self._take(">i")

    def _take(self, form: str) -> int:
        (value,) = struct.unpack_from(form, self._answer, self._at)
        self._at += struct.calcsize(form)
        return int(value)
