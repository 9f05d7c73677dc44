"""How far the log has been received, as the server sees it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime

from deploy.backup import witness
from deploy.backup.archive import SLOT
from deploy.backup.witness import Connection


@dataclass(frozen=True)
class Streaming:
    """`written` is the place in the log up to which the archive has it; None while it is away."""

    retained_bytes: int
    lost: bool
    written: int | None


def look(connection: Connection) -> Streaming:
    """Ask the live server."""
    row = connection.execute(
        "SELECT coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn), 0)::bigint,"
        " s.wal_status IN ('lost', 'unreserved'),"
        " pg_wal_lsn_diff(r.write_lsn, '0/0')::bigint"
        " FROM pg_replication_slots s"
        " LEFT JOIN pg_stat_replication r ON r.pid = s.active_pid"
        " WHERE s.slot_name = %s",
        [SLOT],
    ).fetchone()
    # No slot: nothing is received, and nothing kept for us.
    return Streaming(0, True, None) if row is None else Streaming(row[0], bool(row[1]), row[2])


class Beats:
    """Writes beats and remembers where in the log they ended, to tell what has been received."""

    def __init__(self) -> None:
        """Know of none."""
        self._under_way: deque[tuple[datetime, int]] = deque(maxlen=10_000)
        self.archived: datetime | None = None

    def write(self, connection: Connection) -> None:
        """One more."""
        beat = witness.beat(connection)
        [place] = witness.one_row(
            connection, "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"
        )
        self._under_way.append((beat.moment, place))

    def received(self, written: int | None) -> datetime | None:
        """The newest beat known to have been received; everything before it has been, too."""
        while written is not None and self._under_way and self._under_way[0][1] <= written:
            self.archived = self._under_way.popleft()[0]
        return self.archived
