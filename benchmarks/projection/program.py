"""One round in a process of its own: the runner itself, or the hand-written program it is held to.

`python -m benchmarks.projection.program <json>`; prints what `clock.between` gives as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import psycopg
import uvloop
from aiokafka.partitioner import DefaultPartitioner
from prometheus_client import REGISTRY
from psycopg import sql
from sqlalchemy.ext.asyncio import AsyncConnection

from benchmarks.projection.clock import between, moment
from benchmarks.projection.history import sent
from benchmarks.projection.task import Task
from benchmarks.projection.upserts import CASES, Load
from libs.chassis.database import create_engine, libpq_url
from libs.chassis.garbage import collect_rarely
from libs.contracts.event import Event
from libs.messaging.config import BrokerConfig
from libs.projections.reader import Received
from libs.projections.runner import MAX_RECORDS, Runner


async def run_runner(task: Task) -> dict[str, float]:
    """From the moment the partitions are ours until every event is applied and committed."""
    reader = CASES[task.case].reader
    last_ones = asyncio.Event()
    applied = 0

    async def apply(connection: AsyncConnection, batch: Sequence[Received[Event]]) -> None:
        nonlocal applied
        await reader.apply(connection, batch)
        applied += len(batch)
        if applied >= task.events:
            last_ones.set()

    async def until(metric: str, least: float) -> None:
        while (REGISTRY.get_sample_value(metric, {"reader": reader.name}) or 0) < least:
            if running.done():
                running.result()
            await asyncio.sleep(0.001)

    engine = create_engine(task.database, name="bench")
    runner = Runner(replace(reader, apply=apply), engine=engine, broker=BrokerConfig(**task.broker))
    stop = asyncio.Event()
    running = asyncio.create_task(runner.run(stop))
    collect_rarely()
    await until("rookery_reader_partitions", 1)
    start = moment(task.servers)
    await last_ones.wait()  # not by asking the metrics, which costs more than applying
    await until("rookery_reader_events_total", task.events)
    found = between(start, moment(task.servers), task.events)
    stop.set()
    await running
    await engine.dispose()
    return found


_MOVE = """
UPDATE checkpoints SET next_offset = %s, xid = %s, position = %s, updated_at = now()
WHERE reader = %s AND topic = %s AND partition = %s
"""


def run_by_hand(task: Task) -> dict[str, float]:
    """The rows are in memory before the clock starts; each transaction holds as many events as
    the runner's, and moves a checkpoint too.
    """
    case = CASES[task.case]
    partitions = list(range(task.broker["partitions"]))
    parts: dict[tuple[str, int], list[Any]] = defaultdict(list)
    for item in sent(case.history, task.events, case.reader.types):
        number = DefaultPartitioner()(item.envelope.stream.encode(), partitions, partitions)
        parts[item.topic, number].append(item)
    batches: list[tuple[list[Load], tuple[Any, ...]]] = []
    for begin in range(0, max(map(len, parts.values())), MAX_RECORDS):
        for (topic, number), items in parts.items():
            if batch := items[begin : begin + MAX_RECORDS]:
                place = (case.reader.name, topic, number)
                end = (begin + len(batch), *batch[-1].envelope.cursor)
                batches.append((case.loads(batch), (*end, *place)))
    with psycopg.connect(libpq_url(task.database), autocommit=True) as connection:
        connection.execute("SET synchronous_commit TO off")  # as the runner does
        for topic, number in parts:
            connection.execute(
                "INSERT INTO checkpoints (reader, topic, partition, next_offset, xid, position)"
                " VALUES (%s, %s, %s, 0, 0, 0)",
                (case.reader.name, topic, number),
            )
        collect_rarely()
        start = moment(task.servers)
        for loads, checkpoint in batches:
            with connection.transaction():
                for load in loads:
                    if load.columns[0]:
                        (_unnest if task.way == "unnest" else _copy)(connection, load)
                connection.execute(_MOVE, checkpoint, prepare=True)
        return between(start, moment(task.servers), task.events)


# What Python has as text: sent so, and cast by the server.
_CAST = {"jsonb", "inet"}


def _unnest(connection: psycopg.Connection[Any], load: Load) -> None:
    arrays = ", ".join(
        f"%b::text[]::{kind}[]" if kind in _CAST else f"%b::{kind}[]" for kind in load.types
    )
    statement = load.statement.replace("{rows}", f"unnest({arrays})")
    connection.execute(statement.encode(), load.columns, prepare=True)


def _copy(connection: psycopg.Connection[Any], load: Load) -> None:
    table = f"load_{abs(hash(load.statement))}"
    kinds = ["text" if kind in _CAST else kind for kind in load.types]
    columns = ", ".join(f"c{n} {kind}" for n, kind in enumerate(kinds))
    connection.execute(
        f"CREATE TEMP TABLE IF NOT EXISTS {table} ({columns}) ON COMMIT DELETE ROWS".encode()
    )
    copying = sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(sql.Identifier(table))
    with connection.cursor() as cursor, cursor.copy(copying) as copy:
        copy.set_types(kinds)
        for row in zip(*load.columns, strict=True):
            copy.write_row(row)
    casts = ", ".join(f"c{n}::{kind}" for n, kind in enumerate(load.types))
    statement = load.statement.replace("{rows}", f"(SELECT {casts} FROM {table})")
    connection.execute(statement.encode(), prepare=True)


def main() -> None:
    """Do the task."""
    task = Task(**json.loads(sys.argv[1]))
    if task.way == "runner":
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            found = runner.run(run_runner(task))
    else:
        found = run_by_hand(task)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
