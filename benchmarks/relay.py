"""The relay from table to broker, beside a bare producer that sends the same bytes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, get_args

import orjson
import psycopg

from benchmarks.figures import Figure, Measure, Series, alternate
from benchmarks.relay_load import database, fill_accounts, fill_ingestion
from benchmarks.relay_work import Order, Result, Work
from benchmarks.servers import broker, broker_config, postgres

EVENTS = 100_000
DOMAIN_EVENTS = 50_000
TARGET = 0.5
_CPUS = (("client", "relay"), ("postgres", "PostgreSQL"), ("broker", "broker"))

Say = Callable[[str], None]


async def measure(rounds: int, say: Say) -> list[Figure]:
    """Events a second of both kinds of log; each process on its own, each round a new topic."""
    with postgres() as database_server, broker() as server:
        url = await asyncio.to_thread(database, database_server.url, "ingestion")
        await fill_ingestion(url, EVENTS)
        say(f"{EVENTS:,} rows in ingestion's log")
        common = {
            "broker": asdict(broker_config(server)),
            "servers": {"postgres": database_server.pid, "broker": server.pid},
        }
        webhooks = Subject("ingestion", url, EVENTS, common)
        figures = await webhooks.figures(rounds, "webhooks, translated", TARGET, say)

        url = await asyncio.to_thread(database, database_server.url, "accounts")
        await asyncio.to_thread(fill_accounts, url, DOMAIN_EVENTS)
        say(f"{DOMAIN_EVENTS:,} rows in accounts' log")
        domain = Subject("accounts", url, DOMAIN_EVENTS, common)
        figures += await domain.figures(rounds, "domain events", None, say)
    return figures


async def event_costs(rounds: int, *, partitions: int) -> dict[str, Series]:
    """CPU µs of relay, PostgreSQL and broker for an event of ingestion's log."""
    with postgres() as database_server, broker() as server:
        url = await asyncio.to_thread(database, database_server.url, "ingestion")
        await fill_ingestion(url, DOMAIN_EVENTS)
        common = {
            "broker": asdict(broker_config(server, partitions=partitions)),
            "servers": {"postgres": database_server.pid, "broker": server.pid},
        }
        subject = Subject("ingestion", url, DOMAIN_EVENTS, common)
        return await subject.costs(rounds)


class Subject:
    """One service's log, relayed and sent again as often as asked."""

    def __init__(self, service: str, url: str, events: int, common: dict[str, Any]) -> None:
        self._url = url
        self._order = Order(service=service, expect=events, work="relay", **common)
        self._topics = 0
        self._relayed = ""
        self._results: dict[str, list[Result]] = {}

    async def figures(self, rounds: int, name: str, target: float | None, say: Say) -> list[Figure]:
        """The relay's figure beside each way to send, and the processor time of an event."""

        def measured(work: Work) -> Measure:
            async def once() -> float:
                result = await self._run(work)
                self._results.setdefault(work, []).append(result)
                say(f"{name}, {work}: {result.per_second:,.0f}/s")
                return result.per_second

            return once

        series = await alternate(rounds, **{work: measured(work) for work in get_args(Work)})
        relayed = Series(name, series["relay"].rounds)
        notes = {"bytes": round(self._results["send"][0].payload_bytes / self._order.expect)}
        beside = {
            "bare send()": (series["send"], target),
            "bare send_batch()": (series["send_batch"], None),
        }
        figures = [
            Figure(
                "relay",
                name,
                "events/s",
                relayed,
                Series(text, limit.rounds),
                target=to,
                notes=notes,
            )
            for text, (limit, to) in beside.items()
        ]
        for process, title in _CPUS:
            cpu = Series(f"CPU of {title}", self._cpu("relay", process))
            limit = None
            if process != "postgres":  # which has no part in a bare send
                limit = Series("bare send()", self._cpu("send", process))
            of = f"{name}: CPU of {title}"
            figures.append(Figure("relay", of, "µs/event", cpu, limit, better="lower"))
        return figures

    async def costs(self, rounds: int) -> dict[str, Series]:
        """CPU µs an event of each process, relaying."""
        self._results["relay"] = [await self._run("relay") for _ in range(rounds)]
        return {
            f"CPU of {title}": Series(title, self._cpu("relay", process))
            for process, title in _CPUS
        }

    def _cpu(self, work: str, process: str) -> list[float]:
        return [result.cpu[process] for result in self._results[work]]

    async def _run(self, work: Work) -> Result:
        self._topics += 1
        prefix = f"{self._order.service}-{self._topics}."
        broker = {**self._order.broker, "prefix": prefix}
        order = replace(self._order, work=work, broker=broker, copy_of=self._relayed)
        if work == "relay":
            order = replace(order, database_url=self._url)
            await asyncio.to_thread(_rewind, self._url)
            self._relayed = prefix
        return await _in_a_process(order)


def _rewind(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(
            "UPDATE relay_cursors SET xid = 0, position = 0, cluster_id = NULL, partitions = '{}'"
        )


async def _in_a_process(order: Order) -> Result:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.relay_work"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await child.communicate(orjson.dumps(asdict(order)))
    if child.returncode:
        raise RuntimeError(f"{order.work} ended with exit code {child.returncode}")
    return Result(**orjson.loads(printed.splitlines()[-1]))  # above it is the log
