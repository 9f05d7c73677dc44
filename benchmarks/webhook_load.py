"""A load of signed webhooks, in a process of its own and cheap enough not to be what is measured.

`python -m benchmarks.webhook_load '<Load as JSON>'` sends them over keep-alive connections, one at
a time on each, and prints the Outcome as JSON. Bodies are built and signed before the clock starts.
Anything but a 200 ends the run with an error.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import cast

import orjson
import uvloop
from pydantic import SecretStr

from libs.platforms.signing import hexadecimal, sign


@dataclass(frozen=True)
class Load:
    """`webhooks` requests from number `first` on, each with `changes` comments nobody made before.

    They are of the Instagram accounts `1` to `accounts` in turn, signed with `secret`, and go to
    `path`.
    """

    port: int
    secret: str
    webhooks: int
    changes: int
    first: int = 0
    accounts: int = 100
    connections: int = 100
    path: str = "/webhooks/instagram"


@dataclass(frozen=True)
class Outcome:
    """`seconds` from the first byte sent to the last answer; `cpu_seconds` of the load itself."""

    acknowledged: int
    seconds: float
    cpu_seconds: float


def body(number: int, changes: int, account: int) -> bytes:
    """One notification; the ids of its comments come from `number`."""
    comments = [
        {
            "field": "comments",
            "value": {
                "id": f"{number * changes + place + 17_900_000_000_000_000}",
                "from": {"id": f"{number % 977}", "username": f"reader.{number % 977}"},
                "media": {"id": f"{account * 31 + 18_000_000_000_000_000}"},
                "text": f"What a view, and what a day for it! ({number})",
            },
        }
        for place in range(changes)
    ]
    entry = {"id": str(account), "time": 1_790_000_000 + number, "changes": comments}
    return orjson.dumps({"object": "instagram", "entry": [entry]})


def requests(load: Load) -> list[bytes]:
    """The bytes of every request, as the gateway would pass them on."""
    secret = SecretStr(load.secret)
    made = []
    for number in range(load.first, load.first + load.webhooks):
        content = body(number, load.changes, 1 + number % load.accounts)
        head = (
            f"POST {load.path} HTTP/1.1\r\n"
            f"host: 127.0.0.1:{load.port}\r\n"
            "user-agent: Webhooks/1.0\r\n"
            "accept: */*\r\n"
            "content-type: application/json\r\n"
            f"content-length: {len(content)}\r\n"
            f"x-hub-signature-256: sha256={hexadecimal(sign(secret, content))}\r\n"
            "x-forwarded-for: 192.0.2.7\r\n"
            "x-forwarded-proto: https\r\n"
            f"x-request-id: {number:032x}\r\n\r\n"
        )
        made.append(head.encode() + content)
    return made


class _Sender(asyncio.Protocol):
    """One connection: the next request goes out when the last is answered."""

    def __init__(self, work: Iterator[bytes], failed: asyncio.Future[None]) -> None:
        self.acknowledged = 0
        self.done = asyncio.get_running_loop().create_future()
        self._work = work
        self._failed = failed
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(
            "asyncio.Transport", transport
        )  # uvloop's is of no class of asyncio's

    def send_next(self) -> None:
        assert self._transport is not None
        request = next(self._work, None)
        if request is not None:
            self._transport.write(request)
        elif not self.done.done():
            self.done.set_result(None)
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"HTTP/1.1 200 ") and data.endswith(b"\r\n\r\n"):
            self.acknowledged += 1
            self.send_next()
        elif not self._failed.done():
            self._failed.set_exception(RuntimeError(f"not a whole 200: {data[:500]!r}"))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done() and not self._failed.done():
            self._failed.set_exception(RuntimeError(f"a connection was lost: {exc}"))


async def run(load: Load) -> Outcome:
    """Send all of it. Raises RuntimeError at the first answer that is not an empty 200."""
    work = iter(requests(load))
    loop = asyncio.get_running_loop()
    failed = loop.create_future()
    senders = []
    for _ in range(load.connections):
        _, sender = await loop.create_connection(
            lambda: _Sender(work, failed), "127.0.0.1", load.port
        )
        senders.append(sender)
    cpu, started = time.process_time(), time.perf_counter()
    for sender in senders:
        sender.send_next()
    everything = asyncio.create_task(asyncio.wait([sender.done for sender in senders]))
    await asyncio.wait({everything, failed}, return_when=asyncio.FIRST_COMPLETED)
    if failed.done():
        everything.cancel()
        failed.result()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    return Outcome(sum(sender.acknowledged for sender in senders), seconds, cpu)


def main() -> None:
    load = Load(**json.loads(sys.argv[1]))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(asdict(runner.run(run(load)))))


if __name__ == "__main__":
    main()
