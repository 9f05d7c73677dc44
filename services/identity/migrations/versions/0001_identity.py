"""People, workspaces, members; sessions and throttles."""

from alembic import op

from libs.chassis.idempotency import idempotency_v1
from libs.chassis.schema import USER, WORKSPACE, grant, isolate
from libs.eventlog.schema import log_v1, relay_v1

revision = "0001"
down_revision = None

SERVICE = "identity"
ALL = "SELECT, INSERT, UPDATE, DELETE"

TABLES = [
    """
    CREATE TABLE users (
      id uuid PRIMARY KEY,
      email varchar(255) NOT NULL UNIQUE,
      password_hash varchar(255) NOT NULL,
      mfa_enabled boolean NOT NULL DEFAULT false,
      created_at timestamptz NOT NULL DEFAULT now(),
      last_login timestamptz NULL
    )
    """,
    """
    CREATE TABLE workspaces (
      id uuid PRIMARY KEY,
      name varchar(255) NOT NULL,
      owner_id uuid NOT NULL REFERENCES users (id) DEFERRABLE,
      created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX workspaces_owner ON workspaces (owner_id)",
    """
    CREATE TABLE workspace_members (
      id uuid PRIMARY KEY,
      workspace_id uuid NOT NULL REFERENCES workspaces (id) DEFERRABLE,
      user_id uuid NOT NULL REFERENCES users (id) DEFERRABLE,
      role varchar(32) NOT NULL CHECK (role IN ('owner', 'editor', 'analyst')),
      joined_at timestamptz NOT NULL DEFAULT now(),
      UNIQUE (workspace_id, user_id)
    )
    """,
    "CREATE INDEX workspace_members_user ON workspace_members (user_id)",
    """
    CREATE TABLE sessions (
      id uuid PRIMARY KEY,
      user_id uuid NOT NULL REFERENCES users (id) DEFERRABLE,
      created_at timestamptz NOT NULL,
      expires_at timestamptz NOT NULL,
      last_used_at timestamptz NOT NULL,
      revoked_at timestamptz NULL,
      revoked_reason varchar(32) NULL,
      ip inet NULL,
      user_agent text NULL
    )
    """,
    "CREATE INDEX sessions_user ON sessions (user_id)",
    "CREATE INDEX sessions_end ON sessions (expires_at)",
    """
    CREATE TABLE refresh_tokens (
      token_hash bytea PRIMARY KEY,
      session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
      user_id uuid NOT NULL,
      issued_at timestamptz NOT NULL,
      used_at timestamptz NULL
    )
    """,
    "CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id)",
    """
    CREATE TABLE throttles (
      key bytea PRIMARY KEY,
      failures integer NOT NULL,
      last_attempt timestamptz NOT NULL
    )
    """,
    "CREATE INDEX throttles_age ON throttles (last_attempt)",
]

RIGHTS = [
    *grant("users", service=SERVICE, app="SELECT, INSERT, UPDATE", worker=ALL),
    *grant("workspaces", service=SERVICE, app="SELECT, INSERT, UPDATE", worker=ALL),
    *grant("workspace_members", service=SERVICE, app=ALL, worker=ALL),
    *grant("sessions", service=SERVICE, app="SELECT, INSERT, UPDATE", worker="SELECT, DELETE"),
    *grant("refresh_tokens", service=SERVICE, app="SELECT, INSERT, UPDATE", worker="SELECT"),
    # Keys are hashes of addresses, for no tenant: the only table without row-level security.
    *grant("throttles", service=SERVICE, app=ALL, worker="SELECT, DELETE"),
]

ISOLATION = [
    # A stream belongs to its workspace, or to the person it is about.
    *isolate(
        "events",
        service=SERVICE,
        using=f"workspace_id = {WORKSPACE}"
        f" OR (workspace_id IS NULL AND stream = 'user-' || {USER}::text)",
    ),
    *isolate("users", service=SERVICE, using=f"id = {USER}"),
    *isolate("workspaces", service=SERVICE, using=f"id = {WORKSPACE}"),
    *isolate("workspace_members", service=SERVICE),
    *isolate("sessions", service=SERVICE, using=f"user_id = {USER}"),
    *isolate("refresh_tokens", service=SERVICE, using=f"user_id = {USER}"),
    # What may be read beyond that, never written: one's own memberships and their workspaces,
    # fellow members, and the person whose address the transaction names.
    f"""
    CREATE POLICY own ON workspace_members FOR SELECT TO {SERVICE}_app USING (user_id = {USER})
    """,
    f"""
    CREATE POLICY own ON workspaces FOR SELECT TO {SERVICE}_app USING (
      id IN (SELECT workspace_id FROM workspace_members WHERE user_id = {USER}))
    """,
    f"""
    CREATE POLICY fellow ON users FOR SELECT TO {SERVICE}_app USING (
      id IN (SELECT user_id FROM workspace_members WHERE workspace_id = {WORKSPACE}))
    """,
    f"""
    CREATE POLICY named ON users FOR SELECT TO {SERVICE}_app USING (
      email = nullif(current_setting('rookery.email', true), ''))
    """,
]


def upgrade() -> None:
    for statement in [
        *log_v1(SERVICE),
        *relay_v1(SERVICE),
        *TABLES,
        *RIGHTS,
        *ISOLATION,
        *idempotency_v1(SERVICE),
    ]:
        op.execute(statement)
