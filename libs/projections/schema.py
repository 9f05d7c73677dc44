"""Tables of a service that reads topics. Called from migrations; a change is a new function."""

from __future__ import annotations


def readers_v1(service: str) -> list[str]:
    """Checkpoints, dead letters and the reactors' idempotency record, for the worker role only."""
    tables = [
        """
        CREATE TABLE checkpoints (
          reader text NOT NULL,
          topic text NOT NULL,
          partition integer NOT NULL,
          next_offset bigint NOT NULL,
          xid bigint NOT NULL,
          position bigint NOT NULL,
          stopped_reason text NULL,
          updated_at timestamptz NOT NULL DEFAULT now(),
          PRIMARY KEY (reader, topic, partition)
        )
        """,
        """
        CREATE TABLE dead_letters (
          id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
          reader text NOT NULL,
          topic text NOT NULL,
          partition integer NOT NULL,
          "offset" bigint NOT NULL,
          event_id uuid NULL,
          type text NULL,
          key bytea NULL,
          value bytea NULL,
          headers jsonb NOT NULL,
          error text NOT NULL,
          attempts integer NOT NULL DEFAULT 1,
          status text NOT NULL DEFAULT 'dead',
          first_seen timestamptz NOT NULL DEFAULT now(),
          last_seen timestamptz NOT NULL DEFAULT now()
        )
        """,
        # The same message again (a re-fed topic gives it another offset) is the same dead letter.
        """
        CREATE UNIQUE INDEX dead_letters_event ON dead_letters (reader, event_id)
          WHERE event_id IS NOT NULL
        """,
        """
        CREATE UNIQUE INDEX dead_letters_place ON dead_letters (reader, topic, partition, "offset")
          WHERE event_id IS NULL
        """,
        """
        CREATE TABLE handled_events (
          reactor text NOT NULL,
          event_id uuid NOT NULL,
          handled_at timestamptz NOT NULL DEFAULT now(),
          PRIMARY KEY (reactor, event_id)
        )
        """,
    ]
    grants = [
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON checkpoints, dead_letters TO {service}_worker",
        f"GRANT SELECT, INSERT ON handled_events TO {service}_worker",
    ]
    return [*tables, *grants]
