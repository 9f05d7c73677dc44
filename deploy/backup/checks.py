"""Is a restored server whole? Each check says what it saw."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import errors as pg

from deploy.backup import witness
from deploy.backup.archive import databases
from deploy.backup.witness import Connection
from libs.contracts.envelope import Cursor

Open = Callable[[str], AbstractContextManager[Connection]]


@dataclass(frozen=True)
class Check:
    """`passed` None means that it could not be made."""

    name: str
    passed: bool | None
    says: str


@dataclass(frozen=True)
class TableContent:
    """One table of the restored server: for logs, what all of its rows sum up to."""

    database: str
    table: str
    rows: int
    hash: int | None


def moment_reached(connection: Connection) -> datetime | None:
    """The time of the last commit that was recovered; None when the log brought none."""
    [moment] = witness.one_row(connection, "SELECT pg_last_xact_replay_timestamp()")
    return moment if isinstance(moment, datetime) else None


def nothing_later(open_database: Open, to: datetime | None) -> Check:
    """I6: no commit, and no beat, after the moment asked for."""
    name = "nothing after the moment asked for"
    if to is None:
        return Check(name, None, "no moment was asked for")
    with open_database("postgres") as connection:
        reached = moment_reached(connection)
        beat = witness.last_beat(connection)
    late = [moment for moment in (reached, beat and beat.moment) if moment and moment > to]
    return Check(name, not late, f"last commit {reached}, last beat {beat and beat.moment}")


def tables(open_database: Open) -> list[TableContent]:
    """Rows of each table, and the hash of each log."""
    found = []
    with open_database("postgres") as connection:
        names = databases(connection)
    for database in names:
        with open_database(database) as connection:
            logs = witness.logs(connection)
            everything = _now(connection)
            for table in _tables(connection):
                if table in logs:
                    content = witness.content(connection, table, everything)
                    found.append(TableContent(database, table, content.rows, content.hash))
                else:
                    [rows] = witness.one_row(connection, f"SELECT count(*) FROM {table}")
                    found.append(TableContent(database, table, rows, None))
    return found


def as_in_manifest(open_database: Open) -> Check:
    """The logs hold what the newest manifest says they held."""
    name = "rows and hashes as in the manifest"
    with open_database("postgres") as connection:
        rows = connection.execute(
            "SELECT database, log, rows, hash, snapshot::text, moment"
            " FROM rookery_backup.manifests"
            " WHERE moment = (SELECT max(moment) FROM rookery_backup.manifests)"
        ).fetchall()
    if not rows:
        return Check(name, None, "no manifest was written before that moment")
    wrong = []
    for database, log, count, value, snapshot, _ in rows:
        try:
            with open_database(database) as connection:
                found = witness.content(connection, log, snapshot)
        except psycopg.Error as error:
            wrong.append(f"{database}.{log}: {type(error).__name__}")
            continue
        if found != witness.Content(int(count), int(value)):
            wrong.append(f"{database}.{log}: {found.rows} rows instead of {count}, or others")
    total = sum(int(row[2]) for row in rows)
    return Check(name, not wrong, "; ".join(wrong) or f"{total} rows of {rows[0][5]}")


def as_on_live(restored: Open, live: Open) -> Iterator[Check]:
    """I6 against the live server: what it had at the last beat is here, and nothing newer.

    A live server that is away, or was itself restored to an earlier time, cannot be compared.
    """
    both = ("rows and hashes as on the live server", "no row newer than the next beat")
    with restored("postgres") as connection:
        beat = witness.last_beat(connection)
        reached = moment_reached(connection)
    try:
        if beat is None:
            raise LookupError("the restored server has no beat")
        with live("postgres") as connection:
            if not witness.has_beat(connection, beat):
                raise LookupError("the live server does not know the last beat")
            after = witness.beat_after(connection, reached or beat.moment)
        yield _same(both[0], restored, live, beat)
        yield (
            Check(both[1], None, "no beat since")
            if after is None
            else _none_newer(both[1], restored, after)
        )
    except (psycopg.OperationalError, LookupError) as error:
        for name in both:
            yield Check(name, None, str(error).splitlines()[0])


def _same(name: str, restored: Open, live: Open, beat: witness.Beat) -> Check:
    wrong, total = [], 0
    for database, log in _all_logs(restored):
        with restored(database) as here, live(database) as there:
            ours = witness.content(here, log, beat.snapshot)
            theirs = witness.content(there, log, beat.snapshot)
        total += ours.rows
        if ours != theirs:
            wrong.append(f"{database}.{log}: {ours.rows} rows here, {theirs.rows} there, or others")
    return Check(name, not wrong, "; ".join(wrong) or f"{total} rows of {beat.moment}")


def _none_newer(name: str, restored: Open, after: witness.Beat) -> Check:
    wrong = []
    for database, log in _all_logs(restored):
        with restored(database) as connection:
            [rows] = witness.one_row(
                connection,
                f"SELECT count(*) FROM {log} t"
                " WHERE NOT pg_visible_in_snapshot(t.xid, %s::pg_snapshot)",
                after.snapshot,
            )
        if rows:
            wrong.append(f"{database}.{log}: {rows} rows")
    return Check(name, not wrong, "; ".join(wrong) or f"next beat {after.moment}")


def order_fence(open_database: Open) -> Check:
    """The server will hand out no transaction id or position that a log holds already."""
    wrong, newest_of_all = [], 0
    for database, log in _all_logs(open_database):
        with open_database(database) as connection:
            xid, position, following, last = witness.one_row(
                connection,
                f"SELECT max(t.xid)::text::bigint, max(t.position),"
                " pg_snapshot_xmax(pg_current_snapshot())::text::bigint,"
                f" pg_sequence_last_value(pg_get_serial_sequence(%s, 'position')::regclass)"
                f" FROM {log} t",
                log,
            )
        if xid is None:
            continue
        newest_of_all = max(newest_of_all, xid)
        if xid >= following:
            wrong.append(f"{database}.{log} holds xid {xid}, the server is at {following}")
        if last is None or position > last:
            wrong.append(f"{database}.{log} holds position {position}, the sequence is at {last}")
    return Check("order fence", not wrong, "; ".join(wrong) or f"newest xid {newest_of_all}")


def readers_behind(open_database: Open) -> Check:
    """No reader and no relay is ahead of the log it reads."""
    newest, cursors, ahead = {}, [], []
    for database, log in _all_logs(open_database):
        with open_database(database) as connection:
            row = connection.execute(
                f"SELECT xid::text::bigint, position FROM {log}"
                " ORDER BY xid DESC, position DESC LIMIT 1".encode()
            ).fetchone()
            end = Cursor(*row) if row else Cursor(0, 0)
            for relay in _relays(connection):
                newest[f"{relay[0]}.events"] = end
                cursors.append((f"{relay[0]} relay", f"{relay[0]}.events", Cursor(*relay[1:])))
    with open_database("postgres") as connection:
        names = databases(connection)
    for database in names:
        with open_database(database) as connection:
            for reader, topic, xid, position in _checkpoints(connection):
                cursors.append((reader, topic, Cursor(xid, position)))
    for who, topic, cursor in cursors:
        if topic in newest and cursor > newest[topic]:
            ahead.append(f"{who} is at {cursor} of {topic}, which ends at {newest[topic]}")
    return Check(
        "readers and relays not ahead of the logs",
        not ahead,
        "; ".join(ahead) or f"{len(cursors)} places in {len(newest)} topics",
    )


def relays(open_database: Open) -> list[tuple[str, str]]:
    """Each relay's name, with its database."""
    found = []
    with open_database("postgres") as connection:
        names = databases(connection)
    for database in names:
        with open_database(database) as connection:
            found += [(relay, database) for relay, _, _ in _relays(connection)]
    return found


def _all_logs(open_database: Open) -> list[tuple[str, str]]:
    found = []
    with open_database("postgres") as connection:
        names = databases(connection)
    for database in names:
        with open_database(database) as connection:
            found += [(database, log) for log in witness.logs(connection)]
    return found


def _relays(connection: Connection) -> list[tuple[str, int, int]]:
    try:
        return connection.execute("SELECT relay, xid, position FROM relay_cursors").fetchall()
    except pg.UndefinedTable:
        return []


def _checkpoints(connection: Connection) -> list[tuple[str, str, int, int]]:
    try:
        return connection.execute("SELECT reader, topic, xid, position FROM checkpoints").fetchall()
    except pg.UndefinedTable:
        return []


def _tables(connection: Connection) -> list[str]:
    rows = connection.execute(
        "SELECT quote_ident(relname) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1"
    ).fetchall()
    return [row[0] for row in rows]


def _now(connection: Connection) -> str:
    [now] = witness.one_row(connection, "SELECT pg_current_snapshot()::text")
    return str(now)
