"""Tables of a service with a log. Called from migrations; a change is a new function."""

from __future__ import annotations

LOG_COLUMNS_V1 = """
  position bigint GENERATED ALWAYS AS IDENTITY,
  xid xid8 NOT NULL DEFAULT pg_current_xact_id()
"""


def log_v1(service: str) -> list[str]:
    """The `events` table of an event-sourced service, append-only for both working roles.

    `(xid, position)` is the order in which the relay reads; `(stream, version)` is unique, which
    makes an append at an expected version safe against a concurrent one.
    """
    return [
        f"""
        CREATE TABLE events (
          {LOG_COLUMNS_V1},
          id uuid PRIMARY KEY,
          stream text NOT NULL,
          version integer NOT NULL CHECK (version > 0),
          type text NOT NULL,
          workspace_id uuid NULL,
          data jsonb NOT NULL,
          metadata jsonb NOT NULL,
          occurred_at timestamptz NOT NULL,
          UNIQUE (stream, version)
        )
        """,
        "CREATE UNIQUE INDEX events_cursor ON events (xid, position)",
        f"GRANT SELECT, INSERT ON events TO {service}_app, {service}_worker",
    ]


def relay_v1(service: str) -> list[str]:
    """The relay's cursor, one row per relay."""
    return [
        """
        CREATE TABLE relay_cursors (
          relay text PRIMARY KEY,
          xid bigint NOT NULL DEFAULT 0,
          position bigint NOT NULL DEFAULT 0,
          cluster_id text NULL,
          partitions jsonb NOT NULL DEFAULT '{}',
          updated_at timestamptz NOT NULL DEFAULT now()
        )
        """,
        f"GRANT SELECT, INSERT, UPDATE ON relay_cursors TO {service}_worker",
    ]
