"""The four read models and the copies of accounts and members."""

from __future__ import annotations

from alembic import op

from libs.chassis.members import members_v1
from libs.chassis.partitions import monthly_v1
from libs.chassis.schema import WORKSPACE, grant, isolate
from libs.projections.schema import readers_v1

revision = "0001"
down_revision = None

SERVICE = "analytics"
WRITES = "SELECT, INSERT, UPDATE, DELETE"

# The columns have the defaults of the data model; what a platform cannot give is written as NULL.
ACCOUNTS = """
CREATE TABLE accounts (
  id uuid PRIMARY KEY,
  workspace_id uuid NOT NULL,
  platform varchar(32) NOT NULL,
  handle varchar(255) NOT NULL,
  status varchar(32) NOT NULL DEFAULT 'needs_review'
)
"""

# The key of a partitioned table must hold its partition column. `id` is the event's, which has one
# time, so it is unique by itself all the same.
METRICS_SNAPSHOTS = """
CREATE TABLE metrics_snapshots (
  id uuid NOT NULL,
  social_account_id uuid NOT NULL,
  "timestamp" timestamptz NOT NULL DEFAULT now(),
  followers_count integer NULL DEFAULT 0,
  following_count integer NULL DEFAULT 0,
  posts_count integer NULL DEFAULT 0,
  reach integer NULL DEFAULT 0,
  impressions integer NULL DEFAULT 0,
  engagement_count integer NULL DEFAULT 0,
  profile_views integer NULL DEFAULT 0,
  impressions_total bigint NULL,
  engagement_total bigint NULL,
  extra_data jsonb NULL DEFAULT '{}',
  PRIMARY KEY (id, "timestamp")
) PARTITION BY RANGE ("timestamp")
"""

FOLLOWER_CHANGES = """
CREATE TABLE follower_changes (
  id uuid PRIMARY KEY,
  social_account_id uuid NOT NULL,
  change_type varchar(32) NOT NULL CHECK (change_type IN ('new_follower', 'unfollower')),
  user_id varchar(255) NOT NULL,
  username varchar(255) NOT NULL,
  "timestamp" timestamptz NOT NULL DEFAULT now(),
  profile_pic_url text NULL,
  verified boolean NULL DEFAULT false,
  follower_count integer NULL,
  extra_data jsonb NULL DEFAULT '{}'
)
"""

# `xid` and `position` are the place in ingestion's log of the observation the row shows.
TOP_CONTENT = """
CREATE TABLE top_content (
  id uuid PRIMARY KEY,
  social_account_id uuid NOT NULL,
  platform_post_id varchar(255) NOT NULL,
  post_url text NOT NULL,
  caption text NULL,
  media_type varchar(32) NULL,
  likes_count integer NULL DEFAULT 0,
  comments_count integer NULL DEFAULT 0,
  shares_count integer NULL DEFAULT 0,
  saves_count integer NULL DEFAULT 0,
  reach integer NULL DEFAULT 0,
  engagement_rate double precision NULL DEFAULT 0.0,
  posted_at timestamptz NOT NULL,
  last_updated timestamptz NOT NULL DEFAULT now(),
  xid bigint NOT NULL,
  position bigint NOT NULL,
  UNIQUE (social_account_id, platform_post_id)
)
"""
DELETED_POSTS = """
CREATE TABLE deleted_posts (
  social_account_id uuid NOT NULL,
  platform_post_id varchar(255) NOT NULL,
  deleted_at timestamptz NOT NULL,
  PRIMARY KEY (social_account_id, platform_post_id)
)
"""

AUDIENCE_INSIGHTS = """
CREATE TABLE audience_insights (
  id uuid PRIMARY KEY,
  social_account_id uuid NOT NULL,
  snapshot_date date NOT NULL,
  age_ranges jsonb NULL DEFAULT '[]',
  genders jsonb NULL DEFAULT '[]',
  countries jsonb NULL DEFAULT '[]',
  cities jsonb NULL DEFAULT '[]',
  active_hours jsonb NULL DEFAULT '[]',
  active_days jsonb NULL DEFAULT '[]',
  observed_at timestamptz NOT NULL,
  xid bigint NOT NULL,
  position bigint NOT NULL,
  UNIQUE (social_account_id, snapshot_date)
)
"""

INDEXES = [
    'CREATE INDEX ON metrics_snapshots (social_account_id, "timestamp" DESC)',
    'CREATE INDEX ON follower_changes (social_account_id, "timestamp" DESC)',
    'CREATE INDEX ON follower_changes (social_account_id, change_type, "timestamp" DESC)',
    "CREATE INDEX ON top_content (social_account_id, engagement_rate DESC)",
    "CREATE INDEX ON audience_insights (social_account_id, snapshot_date DESC)",
    "CREATE INDEX ON accounts (workspace_id)",
]

# Whose a row is, is what our copy of the accounts says, never what a message said. The rows of an
# account we do not know yet are nobody's.
OF_THE_WORKSPACE = (
    f"social_account_id IN (SELECT id FROM accounts WHERE workspace_id = {WORKSPACE})"
)


def upgrade() -> None:
    statements = [
        ACCOUNTS,
        *grant("accounts", service=SERVICE, app="SELECT", worker=WRITES),
        *isolate("accounts", service=SERVICE),
        METRICS_SNAPSHOTS,
        FOLLOWER_CHANGES,
        TOP_CONTENT,
        DELETED_POSTS,
        AUDIENCE_INSIGHTS,
        *INDEXES,
        *monthly_v1("metrics_snapshots", '"timestamp"', service=SERVICE),
    ]
    for table in (
        "metrics_snapshots",
        "follower_changes",
        "top_content",
        "deleted_posts",
        "audience_insights",
    ):
        statements += grant(table, service=SERVICE, app="SELECT", worker=WRITES)
        statements += isolate(table, service=SERVICE, using=OF_THE_WORKSPACE)
    statements += [*members_v1(SERVICE), *readers_v1(SERVICE)]
    for statement in statements:
        op.execute(statement)
