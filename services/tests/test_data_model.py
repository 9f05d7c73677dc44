"""Every table of the data model that has a service stands as the model says.

`!` is NOT NULL, `?` is NULL. A line without either leaves it open. Departures are those of
`docs/decisions/0002-departures-from-the-data-model.md`, and no others.
"""

from __future__ import annotations

import re

import psycopg
import pytest

from libs.testing.databases import DatabaseOf

TYPES = {
    "uuid": "uuid",
    "text": "text",
    "integer": "integer",
    "boolean": "boolean",
    "timestamp": "timestamp with time zone",
    "date": "date",
    "jsonb": "jsonb",
    "inet": "inet",
    "float": "double precision",
}
MODEL = {
    "identity.users": (
        """
        id uuid !
        email varchar(255) !
        password_hash varchar(255) !
        mfa_enabled boolean default false
        created_at timestamp default now()
        last_login timestamp ?
        """,
        ["PRIMARY (id)", "UNIQUE (email)"],
    ),
    "identity.workspaces": (
        """
        id uuid !
        name varchar(255) !
        owner_id uuid
        created_at timestamp default now()
        """,
        ["PRIMARY (id)", "INDEX (owner_id)"],
    ),
    "identity.workspace_members": (
        """
        id uuid !
        workspace_id uuid
        user_id uuid
        role varchar(32) !
        joined_at timestamp default now()
        """,
        ["PRIMARY (id)", "UNIQUE (workspace_id, user_id)", "INDEX (user_id)"],
    ),
    "accounts.social_accounts": (
        """
        id uuid !
        workspace_id uuid
        platform varchar(32) !
        handle varchar(255) !
        platform_user_id varchar(255) !
        status varchar(32) default 'needs_review'
        connected_at timestamp default now()
        """,
        ["PRIMARY (id)", "UNIQUE (workspace_id, platform, handle)", "INDEX (workspace_id)"],
    ),
    "accounts.oauth_tokens": (
        """
        id uuid !
        social_account_id uuid
        access_token_enc text !
        refresh_token_enc text ?
        scopes text !
        expires_at timestamp ?
        """,
        ["PRIMARY (id)", "UNIQUE (social_account_id)"],
    ),
    "ingestion.events": (
        """
        id uuid !
        workspace_id uuid
        platform varchar(32) !
        type varchar(64) !
        payload jsonb !
        received_at timestamp default now()
        """,
        ["PRIMARY (id, received_at)", "INDEX (workspace_id, type, received_at DESC)"],
    ),
    "analytics.metrics_snapshots": (
        """
        id uuid !
        social_account_id uuid
        timestamp timestamp default now()
        followers_count integer default 0
        following_count integer default 0
        posts_count integer default 0
        reach integer default 0
        impressions integer default 0
        engagement_count integer default 0
        profile_views integer default 0
        extra_data jsonb default '{}'
        """,
        ["PRIMARY (id, timestamp)", "INDEX (social_account_id, timestamp DESC)"],
    ),
    "analytics.follower_changes": (
        """
        id uuid !
        social_account_id uuid
        change_type varchar(32) !
        user_id varchar(255) !
        username varchar(255) !
        timestamp timestamp default now()
        profile_pic_url text ?
        verified boolean default false
        follower_count integer ?
        extra_data jsonb default '{}'
        """,
        [
            "PRIMARY (id)",
            "INDEX (social_account_id, timestamp DESC)",
            "INDEX (social_account_id, change_type, timestamp DESC)",
        ],
    ),
    "analytics.top_content": (
        """
        id uuid !
        social_account_id uuid
        platform_post_id varchar(255) !
        post_url text !
        caption text ?
        media_type varchar(32) ?
        likes_count integer default 0
        comments_count integer default 0
        shares_count integer default 0
        saves_count integer default 0
        reach integer default 0
        engagement_rate float default 0.0
        posted_at timestamp !
        last_updated timestamp default now()
        """,
        [
            "PRIMARY (id)",
            "UNIQUE (social_account_id, platform_post_id)",
            "INDEX (social_account_id, engagement_rate DESC)",
        ],
    ),
    "analytics.audience_insights": (
        """
        id uuid !
        social_account_id uuid
        snapshot_date date !
        age_ranges jsonb default '[]'
        genders jsonb default '[]'
        countries jsonb default '[]'
        cities jsonb default '[]'
        active_hours jsonb default '[]'
        active_days jsonb default '[]'
        """,
        [
            "PRIMARY (id)",
            "UNIQUE (social_account_id, snapshot_date)",
            "INDEX (social_account_id, snapshot_date DESC)",
        ],
    ),
    "audit.audit_logs": (
        """
        id uuid !
        workspace_id uuid
        actor_id uuid
        action varchar(64) !
        entity_type varchar(64) !
        entity_id uuid !
        timestamp timestamp default now()
        ip_address inet ?
        user_agent text ?
        """,
        [
            "PRIMARY (id)",
            "INDEX (workspace_id, action, timestamp DESC)",
            "INDEX (actor_id, timestamp DESC)",
        ],
    ),
}

_COLUMNS = """
SELECT column_name, data_type, character_maximum_length, is_nullable, column_default
FROM information_schema.columns WHERE table_schema = 'public' AND table_name = %s
"""
_INDEXES = """
SELECT i.indisprimary, i.indisunique, pg_get_indexdef(i.indexrelid)
FROM pg_index i WHERE i.indrelid = %s::regclass
"""


@pytest.mark.parametrize("table", MODEL)
def test_a_table_has_the_columns_and_indexes_of_the_model(
    database_of: DatabaseOf, table: str
) -> None:
    service, name = table.split(".")
    columns, indexes = MODEL[table]
    with psycopg.connect(database_of(service).owner) as connection:
        found = {row[0]: row[1:] for row in connection.execute(_COLUMNS, [name])}
        stands = {_index(*row) for row in connection.execute(_INDEXES, [name])}
    for line in columns.strip().splitlines():
        column, kind, *rest = line.split()
        data_type, length, nullable, default = found[column]
        if "varchar" in kind:
            assert (data_type, f"varchar({length})") == ("character varying", kind), column
        else:
            assert data_type == TYPES[kind], column
        if "!" in rest:
            assert nullable == "NO", column
        if "?" in rest:
            assert nullable == "YES", column
        if "default" in rest:
            assert default is not None, f"{column} has no default"
            assert re.sub(r"::[\w ]+", "", default) == rest[-1], column
    wanted = set(indexes)
    # A unique index serves for the plain one on the same columns.
    plain = {index.replace("UNIQUE", "INDEX", 1) for index in stands}
    assert wanted <= stands | plain, f"missing {wanted - stands - plain}"


def _index(primary: bool, unique: bool, definition: str) -> str:
    columns = re.search(r"USING btree \((.*?)\)( NULLS| WHERE|$)", definition)
    kind = "PRIMARY" if primary else "UNIQUE" if unique else "INDEX"
    listed = columns.group(1) if columns else ""
    listed = listed.replace('"', "").replace(" NULLS LAST", "")
    return f"{kind} ({listed})"
