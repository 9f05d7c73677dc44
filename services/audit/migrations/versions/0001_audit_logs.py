"""The trail, and what keeps it append-only."""

from __future__ import annotations

from alembic import op

from libs.chassis.members import members_v1
from libs.chassis.schema import grant, isolate
from libs.projections.schema import readers_v1

revision = "0001"
down_revision = None

SERVICE = "audit"

# `id` is the event's: an entry per event, however often it arrives. What a person does before
# being in any workspace has none.
AUDIT_LOGS = """
CREATE TABLE audit_logs (
  id uuid PRIMARY KEY,
  workspace_id uuid NULL,
  actor_id uuid NULL,
  action varchar(64) NOT NULL,
  entity_type varchar(64) NOT NULL,
  entity_id uuid NOT NULL,
  "timestamp" timestamptz NOT NULL DEFAULT now(),
  ip_address inet NULL,
  user_agent text NULL,
  service varchar(64) NOT NULL,
  correlation_id text NULL,
  details jsonb NOT NULL DEFAULT '{}'
)
"""

# By statement, so that one which happens to meet no row (for the owner, row-level security hides
# them all) is refused as well. ALWAYS, so that posing as a replica does not lift it.
REFUSAL = """
CREATE FUNCTION audit_logs_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'audit_logs is append-only: % is not allowed', TG_OP
    USING ERRCODE = 'insufficient_privilege';
END $$
"""
TRIGGER = """
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_logs
FOR EACH STATEMENT EXECUTE FUNCTION audit_logs_refuse()
"""


def upgrade() -> None:
    statements = [
        AUDIT_LOGS,
        'CREATE INDEX ON audit_logs (workspace_id, action, "timestamp" DESC)',
        'CREATE INDEX ON audit_logs (actor_id, "timestamp" DESC)',
        'CREATE INDEX ON audit_logs (workspace_id, "timestamp" DESC, id DESC)',
        """
        CREATE INDEX audit_logs_connected ON audit_logs (entity_id)
          WHERE action = 'account.connected'
        """,
        REFUSAL,
        TRIGGER,
        "ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER append_only",
        *grant("audit_logs", service=SERVICE, app="SELECT", worker="SELECT, INSERT"),
        *isolate("audit_logs", service=SERVICE),
        *members_v1(SERVICE),
        *readers_v1(SERVICE),
    ]
    for statement in statements:
        op.execute(statement)
