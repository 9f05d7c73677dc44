"""The events table, permanent dedupe keys, quarantine, routes and poll schedule."""

from __future__ import annotations

from alembic import op

from libs.chassis.members import members_v1
from libs.chassis.partitions import monthly_v1
from libs.chassis.schema import grant, isolate
from libs.eventlog.schema import LOG_COLUMNS_V1, relay_v1
from libs.projections.schema import readers_v1

revision = "0001"
down_revision = None

SERVICE = "ingestion"

EVENTS = f"""
CREATE TABLE events (
  {LOG_COLUMNS_V1},
  id uuid NOT NULL,
  workspace_id uuid NOT NULL,
  social_account_id uuid NOT NULL,
  platform varchar(32) NOT NULL,
  type varchar(64) NOT NULL,
  payload jsonb NOT NULL,
  metadata jsonb NOT NULL DEFAULT '{{}}',
  received_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (id, received_at)
) PARTITION BY RANGE (received_at)
"""

# Outlives any window: three of the four platforms sign no time, so a captured delivery could be
# sent again at any later day. The primary key of a partitioned table cannot do this.
EVENT_KEYS = "CREATE TABLE event_keys (id uuid PRIMARY KEY)"

QUARANTINE = """
CREATE TABLE quarantine (
  id uuid PRIMARY KEY,
  platform varchar(32) NOT NULL,
  reason varchar(64) NOT NULL,
  platform_user_id varchar(255) NULL,
  type varchar(64) NULL,
  body bytea NOT NULL,
  headers jsonb NOT NULL DEFAULT '{}',
  metadata jsonb NOT NULL DEFAULT '{}',
  received_at timestamptz NOT NULL,
  released_at timestamptz NULL
)
"""

ROUTES = """
CREATE TABLE account_routes (
  platform varchar(32) NOT NULL,
  platform_user_id varchar(255) NOT NULL,
  account_id uuid NOT NULL,
  workspace_id uuid NOT NULL,
  alias boolean NOT NULL DEFAULT false,
  active boolean NOT NULL,
  connected_at timestamptz NOT NULL,
  xid bigint NOT NULL,
  position bigint NOT NULL,
  PRIMARY KEY (platform, platform_user_id)
)
"""

POLL_SCHEDULE = """
CREATE TABLE poll_schedule (
  account_id uuid NOT NULL,
  kind varchar(32) NOT NULL,
  platform varchar(32) NOT NULL,
  next_at timestamptz NOT NULL,
  cursor jsonb NULL,
  failures integer NOT NULL DEFAULT 0,
  last_error varchar(255) NULL,
  last_success_at timestamptz NULL,
  stopped_at timestamptz NULL,
  lease_owner uuid NULL,
  lease_until timestamptz NULL,
  PRIMARY KEY (account_id, kind)
)
"""

POLL_PAUSES = """
CREATE TABLE poll_pauses (
  platform varchar(32) PRIMARY KEY,
  until timestamptz NOT NULL
)
"""


def upgrade() -> None:
    statements = [
        EVENTS,
        "CREATE INDEX events_by_type ON events (workspace_id, type, received_at DESC)",
        "CREATE INDEX events_by_time ON events (workspace_id, received_at DESC, id DESC)",
        "CREATE INDEX events_cursor ON events (xid, position)",
        """
        CREATE INDEX events_deletions ON events ((payload ->> 'confirmation_code'))
          WHERE type = 'data_deletion'
        """,
        *grant("events", service=SERVICE, app="SELECT", worker="SELECT, INSERT"),
        *isolate("events", service=SERVICE),
        *monthly_v1("events", "received_at", service=SERVICE),
        EVENT_KEYS,
        *grant("event_keys", service=SERVICE, worker="SELECT, INSERT"),
        QUARANTINE,
        """
        CREATE INDEX quarantine_waiting ON quarantine (platform, platform_user_id)
          WHERE released_at IS NULL AND reason IN ('unknown-account', 'account-disconnected')
        """,
        "CREATE INDEX quarantine_deletions ON quarantine (id) WHERE type = 'data_deletion'",
        *grant("quarantine", service=SERVICE, worker="SELECT, INSERT"),
        f"GRANT UPDATE (reason, released_at) ON quarantine TO {SERVICE}_worker",
        ROUTES,
        "CREATE INDEX account_routes_account ON account_routes (account_id) WHERE NOT alias",
        *grant("account_routes", service=SERVICE, worker="SELECT, INSERT, UPDATE, DELETE"),
        *isolate("account_routes", service=SERVICE),
        POLL_SCHEDULE,
        "CREATE INDEX poll_schedule_due ON poll_schedule (next_at) WHERE stopped_at IS NULL",
        *grant("poll_schedule", service=SERVICE, worker="SELECT, INSERT, UPDATE, DELETE"),
        POLL_PAUSES,
        *grant("poll_pauses", service=SERVICE, worker="SELECT, INSERT, UPDATE, DELETE"),
        *members_v1(SERVICE),
        *relay_v1(SERVICE),
        *readers_v1(SERVICE),
    ]
    for statement in statements:
        op.execute(statement)
