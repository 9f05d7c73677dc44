"""Where a reader stands in a partition, kept beside the rows it wrote."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.envelope import BEGINNING, Cursor


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`next_offset` is where to read on; `cursor` is the last event taken in.

    A partition with a `stopped_reason` is not read until an operator releases it.
    """

    next_offset: int = 0
    cursor: Cursor = BEGINNING
    stopped_reason: str | None = None


class Fenced(Exception):
    """Another instance of the reader has moved the checkpoint; this one's work is void."""


_LOAD = text(
    "SELECT next_offset, xid, position, stopped_reason FROM checkpoints"
    " WHERE reader = :reader AND topic = :topic AND partition = :partition"
)
_CREATE = text(
    "INSERT INTO checkpoints (reader, topic, partition, next_offset, xid, position)"
    " VALUES (:reader, :topic, :partition, 0, 0, 0) ON CONFLICT DO NOTHING"
)
_MOVE = """
UPDATE checkpoints SET next_offset = %(next_offset)s, xid = %(xid)s, position = %(position)s,
  updated_at = now()
WHERE reader = %(reader)s AND topic = %(topic)s AND partition = %(partition)s
  AND next_offset = %(old_offset)s AND xid = %(old_xid)s AND position = %(old_position)s
  AND stopped_reason IS NULL
"""
# For this transaction only, and without a round trip of its own.
_MOVE_RELAXED = f"{_MOVE}  AND set_config('synchronous_commit', 'off', true) IS NOT NULL"
_STOP = text(
    "UPDATE checkpoints SET stopped_reason = :reason, updated_at = now()"
    " WHERE reader = :reader AND topic = :topic AND partition = :partition"
)


async def load(connection: AsyncConnection, reader: str, topic: str, partition: int) -> Checkpoint:
    """The partition's checkpoint, created at the beginning if there is none."""
    key = {"reader": reader, "topic": topic, "partition": partition}
    row = (await connection.execute(_LOAD, key)).one_or_none()
    if row is None:
        await connection.execute(_CREATE, key)
        return Checkpoint()
    return Checkpoint(row.next_offset, Cursor(row.xid, row.position), row.stopped_reason)


async def move(
    connection: AsyncConnection,
    reader: str,
    topic: str,
    partition: int,
    *,
    old: Checkpoint,
    new: Checkpoint,
    durable: bool,
) -> None:
    """Compare-and-set from `old` to `new`, in the transaction of the rows. Raises Fenced.

    Unless `durable`, the commit does not wait for the disk: a server that dies may lose the last
    transactions, whole, and their messages are read again.
    """
    moved = await connection.exec_driver_sql(
        _MOVE if durable else _MOVE_RELAXED,
        {
            "reader": reader,
            "topic": topic,
            "partition": partition,
            "next_offset": new.next_offset,
            "xid": new.cursor.xid,
            "position": new.cursor.position,
            "old_offset": old.next_offset,
            "old_xid": old.cursor.xid,
            "old_position": old.cursor.position,
        },
    )
    if moved.rowcount != 1:
        raise Fenced


async def stop(
    connection: AsyncConnection, reader: str, topic: str, partition: int, reason: str
) -> None:
    """Mark the partition as stopped."""
    await connection.execute(
        _STOP, {"reader": reader, "topic": topic, "partition": partition, "reason": reason}
    )
