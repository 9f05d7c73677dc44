"""Connected accounts, their tokens, and OAuth flows under way."""

from alembic import op

from libs.chassis.members import members_v1
from libs.chassis.schema import grant, isolate
from libs.eventlog.schema import log_v1, relay_v1
from libs.projections.schema import readers_v1

revision = "0001"
down_revision = None

SERVICE = "accounts"
ALL = "SELECT, INSERT, UPDATE, DELETE"

TABLES = [
    """
    CREATE TABLE social_accounts (
      id uuid PRIMARY KEY,
      workspace_id uuid NOT NULL,
      platform varchar(32) NOT NULL CHECK (platform IN ('instagram', 'tiktok', 'linkedin', 'x')),
      handle varchar(255) NOT NULL,
      platform_user_id varchar(255) NOT NULL,
      status varchar(32) NOT NULL DEFAULT 'needs_review'
        CHECK (status IN ('active', 'needs_review', 'disconnected')),
      status_reason varchar(64) NULL,
      missing_scopes text[] NOT NULL DEFAULT '{}',
      connected_at timestamptz NOT NULL DEFAULT now(),
      UNIQUE (workspace_id, platform, handle),
      UNIQUE (workspace_id, platform, platform_user_id)
    )
    """,
    "CREATE INDEX social_accounts_workspace ON social_accounts (workspace_id)",
    # An account is connected in one workspace at a time; a constraint sees across tenants.
    """
    CREATE UNIQUE INDEX social_accounts_held ON social_accounts (platform, platform_user_id)
      WHERE status <> 'disconnected'
    """,
    """
    CREATE TABLE oauth_tokens (
      id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
      social_account_id uuid NOT NULL UNIQUE REFERENCES social_accounts (id) DEFERRABLE,
      access_token_enc text NOT NULL,
      refresh_token_enc text NULL,
      scopes text NOT NULL,
      expires_at timestamptz NULL,
      workspace_id uuid NOT NULL,
      platform varchar(32) NOT NULL,
      refresh_expires_at timestamptz NULL,
      version integer NOT NULL,
      granted_at timestamptz NOT NULL,
      refreshed_at timestamptz NULL,
      next_refresh_at timestamptz NULL,
      failures integer NOT NULL DEFAULT 0,
      last_error varchar(64) NULL,
      lease_id uuid NULL,
      lease_until timestamptz NULL
    )
    """,
    "CREATE INDEX oauth_tokens_due ON oauth_tokens (next_refresh_at)",
    """
    CREATE TABLE oauth_states (
      id uuid PRIMARY KEY,
      state_hash bytea NOT NULL UNIQUE,
      workspace_id uuid NOT NULL,
      user_id uuid NOT NULL,
      platform varchar(32) NOT NULL,
      code_verifier_enc text NULL,
      return_url text NULL,
      created_at timestamptz NOT NULL,
      expires_at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX oauth_states_end ON oauth_states (expires_at)",
]

RIGHTS = [
    *grant("social_accounts", service=SERVICE, app="SELECT, INSERT, UPDATE", worker=ALL),
    *grant("oauth_tokens", service=SERVICE, app=ALL, worker=ALL),
    *grant("oauth_states", service=SERVICE, app="SELECT, INSERT, DELETE", worker="SELECT, DELETE"),
]

ISOLATION = [
    statement
    for table in ("events", "social_accounts", "oauth_tokens", "oauth_states")
    for statement in isolate(table, service=SERVICE)
]


def upgrade() -> None:
    for statement in [
        *log_v1(SERVICE),
        *relay_v1(SERVICE),
        *readers_v1(SERVICE),
        *members_v1(SERVICE),
        *TABLES,
        *RIGHTS,
        *ISOLATION,
    ]:
        op.execute(statement)
