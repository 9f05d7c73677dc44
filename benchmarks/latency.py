"""From a webhook sent to its row in the query, at 200 events a second, beside a bare chain.

The services are those of the local stack, each a process, with the settings of `make run`; with
ROOKERY_TEST_BROKER=apache on Apache Kafka.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import orjson
import psycopg
from aiokafka import AIOKafkaConsumer
from sqlalchemy.engine import make_url

from benchmarks import servers
from benchmarks.bare_chain import BareChain
from benchmarks.figures import Figure, Series
from benchmarks.local_stack import LocalStack, local_stack
from benchmarks.wire import Connection, connect, request
from libs.simulator import signing

PROBES = 300
RATE = 200
_ACCOUNTS = 20
_SENDERS = 8
_PATIENCE_SECONDS = 10.0
_TARGETS = {50: 60.0, 99: 250.0}  # ms

Say = Callable[[str], None]
Probe = Callable[[], Awaitable[float]]


@dataclass
class _Follows:
    """X telling that somebody followed an account, every time somebody else."""

    secret: str
    numbers: count[int] = field(default_factory=lambda: count(int(time.time()) * 1000))

    def next(self, user: str) -> tuple[str, bytes]:
        """The follower's name, and the request."""
        name = f"bench{next(self.numbers)}"
        data = {
            "event_uuid": name,
            "filter": {"user_id": user},
            "event_type": "follow.follow",
            "payload": {
                "source": {"data": {"id": name.removeprefix("bench"), "username": name}},
                "target": {"data": {"id": user, "username": "us"}},
            },
        }
        body = orjson.dumps({"data": data})
        headers = {"x-twitter-webhooks-signature": signing.x(self.secret, body)}
        return name, request("POST", "/webhooks/x", headers, body)


class _Demo:
    """The demo person of a running stack, and the X accounts of that workspace."""

    def __init__(self, stack: LocalStack) -> None:
        self.stack = stack
        self.services: dict[str, str] = stack.local["services"]
        self.workspace = stack.local["demo"]["workspace_id"]
        self.follows = _Follows(stack.local["webhook_secrets"]["x"])
        self.http = httpx.Client(base_url=stack.local["gateway"], timeout=30, trust_env=False)

    def sign_in(self) -> str:
        """The header of a token that holds for ten minutes. Blocks."""
        login = {name: self.stack.local["demo"][name] for name in ("email", "password")}
        answer = self.http.post("/v1/auth/login", json=login).raise_for_status()
        bearer = f"Bearer {answer.json()['access_token']}"
        self.http.headers["authorization"] = bearer
        return bearer

    def accounts(self) -> list[dict[str, Any]]:
        """Its X accounts, oldest first. Blocks."""
        listed = self.http.get(f"/v1/workspaces/{self.workspace}/accounts?limit=100")
        items = listed.raise_for_status().json()["items"]
        return [item for item in items if item["platform"] == "x"]

    def connect_more(self, number: int) -> None:
        """So many simulated people allow us their accounts. Blocks."""
        control = f"{self.stack.local['simulator']}/_control"
        for handle in (f"bench_{n}" for n in range(number)):
            person = {"platform": "x", "handle": handle}
            self.http.post(f"{control}/people", json=person).raise_for_status()
            choice = {"mode": "allow", "as": handle, "platform": "x"}
            self.http.post(f"{control}/consent", json=choice).raise_for_status()
            begun = self.http.post(f"/v1/workspaces/{self.workspace}/accounts/x/connect", json={})
            url = begun.raise_for_status().json()["authorize_url"]
            httpx.get(url, follow_redirects=True, timeout=30).raise_for_status()

    def count(self) -> int:
        """How many follows analytics holds that are ours. Blocks."""
        url = make_url(self.stack.local["database"]).set(database="analytics")
        with psycopg.connect(url.render_as_string(hide_password=False)) as connection:
            found = connection.execute(
                "SELECT count(*) FROM follower_changes WHERE username LIKE 'bench%'"
            ).fetchone()
        return int(found[0]) if found else 0


@dataclass
class _Load:
    """Follows of `users` in turn, at a steady rate whatever the answers take."""

    demo: _Demo
    users: list[str]
    sent: int = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send while inside. Raises when a webhook is not taken in."""
        due: asyncio.Queue[bytes] = asyncio.Queue()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._send(due)) for _ in range(_SENDERS)]
            tasks.append(group.create_task(self._plan(due)))
            try:
                yield
            finally:
                tasks.pop().cancel()
                await due.join()
                for task in tasks:
                    task.cancel()

    async def _plan(self, due: asyncio.Queue[bytes]) -> None:
        started = time.perf_counter()
        for number in count(1):
            due.put_nowait(self.demo.follows.next(self.users[number % len(self.users)])[1])
            await asyncio.sleep(started + number / RATE - time.perf_counter())

    async def _send(self, due: asyncio.Queue[bytes]) -> None:
        async with await connect(self.demo.services["ingestion"]) as ingestion:
            while True:
                follow = await due.get()
                await _deliver(ingestion, follow)
                self.sent += 1
                due.task_done()


class _Topic:
    """Says when an event is on ingestion's topic."""

    def __init__(self, bootstrap: str) -> None:
        self._consumer = AIOKafkaConsumer(
            "ingestion.events", bootstrap_servers=bootstrap, auto_offset_reset="latest"
        )
        self._name = b""
        self._arrived: asyncio.Future[float] | None = None

    def look_for(self, name: str) -> asyncio.Future[float]:
        """When the event of that follower will have arrived, by `perf_counter`."""
        self._name = name.encode()
        self._arrived = asyncio.get_running_loop().create_future()
        return self._arrived

    @asynccontextmanager
    async def read(self) -> AsyncIterator[None]:
        """Read it while inside."""
        await self._consumer.start()
        reading = asyncio.create_task(self._read())
        try:
            yield
        finally:
            reading.cancel()
            await asyncio.wait({reading})
            await self._consumer.stop()

    async def _read(self) -> None:
        async for message in self._consumer:
            if self._arrived and not self._arrived.done() and self._name in message.value:
                self._arrived.set_result(time.perf_counter())


@dataclass
class _Probe:
    """One follow after the other, each looked for until it is there."""

    demo: _Demo
    account: dict[str, Any]
    bearer: str
    ingestion: Connection
    analytics: Connection
    topic: _Topic
    sent: int = 0
    # Milliseconds until the answer to the webhook, and from there until the event is on the topic.
    commit: list[float] = field(default_factory=list)
    relay: list[float] = field(default_factory=list)

    async def __call__(self) -> float:
        """Seconds from the first byte of the webhook to the answer that holds it."""
        name, follow = self.demo.follows.next(self.account["platform_user_id"])
        path = f"/v1/workspaces/{self.demo.workspace}/accounts/{self.account['id']}"
        query = request("GET", f"{path}/follower-changes?limit=1", {"authorization": self.bearer})
        started = time.perf_counter()
        arrived = self.topic.look_for(name)
        await _deliver(self.ingestion, follow)
        answered = time.perf_counter()
        self.sent += 1
        while True:
            status, body = await self.analytics.send(query)
            seconds = time.perf_counter() - started
            if status == 200 and name.encode() in body:
                self.commit.append((answered - started) * 1000)
                self.relay.append((await arrived - answered) * 1000)
                return seconds
            if seconds > _PATIENCE_SECONDS:
                raise RuntimeError(f"{name} was not seen, the last answer was {status} {body!r}")
            await asyncio.sleep(0.002)


async def measure(rounds: int, say: Say) -> list[Figure]:
    """p50 and p99 of the services and of the bare chain, in turn, all under the same load."""
    with tempfile.TemporaryDirectory(prefix="rookery-bench-") as folder, _broker() as bootstrap:
        env = {"ROOKERY_DRIP_SECONDS": "0", **bootstrap}
        with local_stack(Path(folder) / "home", env) as stack:
            return await _measure(stack, rounds, say)


async def _measure(stack: LocalStack, rounds: int, say: Say) -> list[Figure]:
    demo = _Demo(stack)
    demo.sign_in()
    [probed, *_] = demo.accounts()
    demo.connect_more(_ACCOUNTS)
    users = [account["platform_user_id"] for account in demo.accounts() if account != probed]
    seen: dict[str, list[list[float]]] = {"services": [], "bare chain": []}
    load = _Load(demo, users)
    sent = 0
    topic = _Topic(stack.local["kafka"])
    async with (
        topic.read(),
        BareChain(stack.local["database"], stack.local["kafka"]) as chain,
        await connect(demo.services["ingestion"]) as ingestion,
        await connect(demo.services["analytics"]) as analytics,
    ):
        for _ in range(rounds):
            probe = _Probe(demo, probed, demo.sign_in(), ingestion, analytics, topic)
            async with load.running():
                used = _Used(stack)
                seen["services"].append(await _milliseconds(probe))
                cpu = used.percent()
                seen["bare chain"].append(await _milliseconds(chain.probe))
            sent += probe.sent
            say(", ".join(f"{name} {_both(times[-1])}" for name, times in seen.items()))
            say(f"  of which commit {_both(probe.commit)}, then relay {_both(probe.relay)}")
            say("  % of a core: " + ", ".join(f"{name} {share:.0f}" for name, share in cpu.items()))
    await _all_there(demo, load.sent + sent)
    return [_figure(centile, target, seen) for centile, target in _TARGETS.items()]


class _Used:
    """Processor time since it was made."""

    def __init__(self, stack: LocalStack) -> None:
        self._stack = stack
        self._since, self._before = time.perf_counter(), stack.cpu_seconds()

    def percent(self) -> dict[str, float]:
        """Of a core, by part of the stack."""
        seconds = time.perf_counter() - self._since
        after = self._stack.cpu_seconds()
        return {name: (after[name] - used) * 100 / seconds for name, used in self._before.items()}


async def _milliseconds(probe: Probe) -> list[float]:
    chance = random.Random(0)
    times = []
    for _ in range(PROBES):
        times.append(await probe() * 1000)
        # Not in step with anybody's polling.
        await asyncio.sleep(chance.uniform(0.01, 0.06))
    return times


async def _deliver(ingestion: Connection, webhook: bytes) -> None:
    status, _ = await ingestion.send(webhook)
    if status != 200:
        raise RuntimeError(f"a webhook was answered with {status}")


async def _all_there(demo: _Demo, sent: int) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (found := await asyncio.to_thread(demo.count)) != sent:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{sent} follows were accepted, analytics holds {found}")
        await asyncio.sleep(0.1)


def _figure(centile: int, target: float, seen: dict[str, list[list[float]]]) -> Figure:
    series = {
        name: Series(name, [_centile(times, centile) for times in rounds])
        for name, rounds in seen.items()
    }
    return Figure(
        *("latency", f"webhook to query, p{centile}", "ms", series["services"]),
        limit=series["bare chain"],
        better="lower",
        target=target,
        absolute=True,
        notes={"events/s meanwhile": RATE, "probes a round": PROBES},
    )


def _centile(times: list[float], centile: int) -> float:
    return statistics.quantiles(times, n=100, method="inclusive")[centile - 1]


def _both(times: list[float]) -> str:
    return f"p50 {_centile(times, 50):.0f} ms, p99 {_centile(times, 99):.0f} ms"


@contextmanager
def _broker() -> Iterator[dict[str, str]]:
    """What names the broker to the stack; nothing for its own."""
    if servers.broker_kind() != "apache":
        yield {}
        return
    with servers.broker() as broker:
        yield {"KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap}
