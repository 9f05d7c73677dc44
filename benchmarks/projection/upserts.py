"""The limit: the rows of a batch as column lists, and the statement that would write them by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID, uuid5

import orjson

from benchmarks.projection import history
from benchmarks.projection.history import History, Sent
from libs.chassis.members import members
from libs.contracts import accounts as a
from libs.contracts import identity as i
from libs.contracts import ingestion as g
from libs.projections.reader import Reader
from services.analytics.projections import (
    accounts,
    audience_insights,
    follower_changes,
    metrics_snapshots,
    top_content,
)
from services.audit.projections import trail
from services.ingestion.projections.routes import routes

K = TypeVar("K")


@dataclass(frozen=True)
class Load:
    """Rows by column, and what writes them: `{rows}` stands for a source with these columns."""

    types: Sequence[str]
    columns: Sequence[Sequence[Any]]
    statement: str


@dataclass(frozen=True)
class Case:
    """A projection, what its topics hold, and what a batch of that is in rows."""

    service: str
    reader: Reader
    history: History
    loads: Callable[[Sequence[Sent]], list[Load]]
    tables: Sequence[str]


def _load(
    rows: Mapping[str, str], items: Sequence[Sequence[Any]], statement: str, alias: str = "r"
) -> Load:
    columns = list(zip(*items, strict=True)) if items else [()] * len(rows)
    names = ", ".join(rows)
    return Load(
        list(rows.values()),
        [list(column) for column in columns],
        statement.replace("{rows}", f"{{rows}} AS {alias} ({names})"),
    )


def _last(batch: Sequence[Sent], key: Callable[[Any], K]) -> list[Sent]:
    """The last event of each key, as one statement may touch a row once only."""
    return list({key(item.event): item for item in batch}.values())


def _set(*names: str) -> str:
    return ", ".join(f"{name} = excluded.{name}" for name in names)


_METRICS = {
    "id": "uuid", "social_account_id": "uuid", "timestamp": "timestamptz",
    **dict.fromkeys(metrics_snapshots.GAUGES + metrics_snapshots.WINDOWS, "int4"),
    "impressions_total": "int8", "engagement_total": "int8", "extra_data": "jsonb",
}  # fmt: skip


def _snapshots(batch: Sequence[Sent]) -> list[Load]:
    names = [name for name in _METRICS if name not in {"id", "social_account_id", "timestamp"}]
    rows = []
    for item in batch:
        event = item.event
        assert isinstance(event, g.AccountMetricsObserved)
        counts = [getattr(event, name) for name in names[:-1]]
        extra = orjson.dumps(event.extra_data).decode()
        rows.append((item.envelope.id, event.account_id, event.occurred_at, *counts, extra))
    columns = ", ".join(f'"{name}"' for name in _METRICS)
    upsert = (
        f"INSERT INTO metrics_snapshots ({columns}) SELECT * FROM {{rows}}"
        f' ON CONFLICT (id, "timestamp") DO UPDATE SET {_set(*names)}'
    )
    summed = [row[1:3] for row in rows if row[10] is not None]
    named = {f'"{name}"': kind for name, kind in _METRICS.items()}
    sums = metrics_snapshots.FROM_TOTALS.replace(metrics_snapshots.NEW_TOTALS, "{rows}")
    return [
        _load(named, rows, upsert),
        _load({"account": "uuid", "at": "timestamptz"}, summed, sums, "new"),
    ]


def _followers(batch: Sequence[Sent]) -> list[Load]:
    rows = []
    for item in batch:
        event = item.event
        assert isinstance(event, g.FollowerGained | g.FollowerLost)
        kind = "new_follower" if isinstance(event, g.FollowerGained) else "unfollower"
        person = (event.user_id, event.username, event.occurred_at, event.profile_pic_url)
        numbers = (event.verified, event.follower_count)
        rows.append((item.envelope.id, event.account_id, kind, *person, *numbers))
    types = {
        "id": "uuid", "social_account_id": "uuid", "change_type": "text", "user_id": "text",
        "username": "text", '"timestamp"': "timestamptz", "profile_pic_url": "text",
        "verified": "bool", "follower_count": "int4",
    }  # fmt: skip
    return [
        _load(
            types,
            rows,
            f"INSERT INTO follower_changes ({', '.join(types)}) SELECT * FROM {{rows}}"
            f" ON CONFLICT (id) DO UPDATE SET {_set(*list(types)[1:])}",
        )
    ]


def _posts(batch: Sequence[Sent]) -> list[Load]:
    seen = [item for item in batch if isinstance(item.event, g.PostMetricsObserved)]
    rows = []
    for item in _last(seen, lambda e: (e.account_id, e.platform_post_id)):
        e = item.event
        assert isinstance(e, g.PostMetricsObserved)
        post = (e.platform_post_id, e.post_url, e.caption, e.media_type)
        counts = (e.likes_count, e.comments_count, e.shares_count, e.saves_count, e.reach)
        rate = top_content.engagement_rate(e)
        times = (e.posted_at, e.occurred_at)
        id_ = uuid5(e.account_id, e.platform_post_id)
        rows.append((id_, e.account_id, *post, *counts, rate, *times, *item.envelope.cursor))
    types = {
        "id": "uuid", "social_account_id": "uuid", "platform_post_id": "text", "post_url": "text",
        "caption": "text", "media_type": "text", "likes_count": "int4", "comments_count": "int4",
        "shares_count": "int4", "saves_count": "int4", "reach": "int4",
        "engagement_rate": "float8", "posted_at": "timestamptz", "last_updated": "timestamptz",
        "xid": "int8", "position": "int8",
    }  # fmt: skip
    gone = [item.event for item in batch if isinstance(item.event, g.PostDeleted)]
    return [
        _load(
            types,
            rows,
            f"INSERT INTO top_content ({', '.join(types)}) SELECT * FROM {{rows}}"
            " ON CONFLICT (social_account_id, platform_post_id) DO UPDATE SET"
            f" {_set(*list(types)[3:])}"
            " WHERE (top_content.last_updated, top_content.xid, top_content.position)"
            " <= (excluded.last_updated, excluded.xid, excluded.position)",
        ),
        _load(
            {"account": "uuid", "post": "text", "at": "timestamptz"},
            [(event.account_id, event.post_id, event.occurred_at) for event in gone],
            "INSERT INTO deleted_posts SELECT account, post, min(at) FROM {rows}"
            " GROUP BY account, post ON CONFLICT (social_account_id, platform_post_id)"
            " DO UPDATE SET deleted_at = least(deleted_posts.deleted_at, excluded.deleted_at)",
        ),
    ]


_PARTS = ("age_ranges", "genders", "countries", "cities", "active_hours", "active_days")


def _audiences(batch: Sequence[Sent]) -> list[Load]:
    rows = []
    for item in _last(batch, lambda e: (e.account_id, e.snapshot_date)):
        event = item.event
        assert isinstance(event, g.AudienceObserved)
        document = event.model_dump()
        parts = [document[name] and orjson.dumps(document[name]).decode() for name in _PARTS]
        id_ = uuid5(event.account_id, event.snapshot_date.isoformat())
        about = (id_, event.account_id, event.snapshot_date)
        rows.append((*about, *parts, event.occurred_at, *item.envelope.cursor))
    types = {
        "id": "uuid", "social_account_id": "uuid", "snapshot_date": "date",
        **dict.fromkeys(_PARTS, "jsonb"),
        "observed_at": "timestamptz", "xid": "int8", "position": "int8",
    }  # fmt: skip
    return [
        _load(
            types,
            rows,
            f"INSERT INTO audience_insights ({', '.join(types)}) SELECT * FROM {{rows}}"
            " ON CONFLICT (social_account_id, snapshot_date) DO UPDATE SET"
            f" {_set(*list(types)[3:])} WHERE (audience_insights.observed_at,"
            " audience_insights.xid, audience_insights.position)"
            " <= (excluded.observed_at, excluded.xid, excluded.position)",
        )
    ]


def _accounts(batch: Sequence[Sent]) -> list[Load]:
    known: dict[Any, tuple[Any, ...]] = {}
    changed: dict[Any, str] = {}
    for item in batch:
        match item.event:
            case a.AccountConnected() | a.AccountReconnected() as e:
                row = (e.account_id, e.workspace_id, e.platform, e.handle, e.status)
                known[e.account_id] = row
                changed.pop(e.account_id, None)
            case a.AccountReviewRequested() | a.AccountDisconnected() as e:
                review = isinstance(e, a.AccountReviewRequested)
                status = "needs_review" if review else "disconnected"
                if e.account_id in known:
                    known[e.account_id] = (*known[e.account_id][:4], status)
                else:
                    changed[e.account_id] = status
    types = dict.fromkeys(("id", "workspace_id"), "uuid")
    types |= dict.fromkeys(("platform", "handle", "status"), "text")
    return [
        _load(
            types,
            list(known.values()),
            "INSERT INTO accounts (id, workspace_id, platform, handle, status)"
            f" SELECT * FROM {{rows}} ON CONFLICT (id) DO UPDATE SET {_set('handle', 'status')}",
        ),
        _load(
            {"id": "uuid", "status": "text"},
            list(changed.items()),
            "UPDATE accounts SET status = r.status FROM {rows} WHERE accounts.id = r.id",
        ),
    ]


def _routes(batch: Sequence[Sent]) -> list[Load]:
    connected: dict[tuple[str, str], tuple[Any, ...]] = {}
    ended: dict[Any, tuple[Any, ...]] = {}
    for item in batch:
        cursor = item.envelope.cursor
        match item.event:
            case a.AccountConnected() | a.AccountReconnected() as e:
                for n, user in enumerate((e.platform_user_id, *e.other_ids)):
                    whose = (e.account_id, e.workspace_id, n > 0)
                    row = (e.platform, user, *whose, item.envelope.time, *cursor)
                    connected[e.platform, user] = row
            case a.AccountDisconnected() as e:
                ended[e.account_id] = (e.account_id, *cursor)
    types = {
        "platform": "text", "platform_user_id": "text", "account_id": "uuid",
        "workspace_id": "uuid", "alias": "bool", "connected_at": "timestamptz", "xid": "int8",
        "position": "int8",
    }  # fmt: skip
    return [
        _load(
            types,
            list(connected.values()),
            f"INSERT INTO account_routes ({', '.join(types)}, active) SELECT r.*, true FROM {{rows}}"
            " ON CONFLICT (platform, platform_user_id) DO UPDATE SET"
            f" {_set(*list(types)[2:], 'active')}"
            " WHERE (account_routes.xid, account_routes.position)"
            " < (excluded.xid, excluded.position)",
        ),
        _load(
            {"account": "uuid", "xid": "int8", "position": "int8"},
            list(ended.values()),
            "UPDATE account_routes t SET active = false, xid = r.xid, position = r.position"
            " FROM {rows} WHERE t.account_id = r.account"
            " AND (t.xid, t.position) < (r.xid, r.position)",
        ),
    ]


def _members(batch: Sequence[Sent]) -> list[Load]:
    kept, gone = [], []
    for item in _last(batch, lambda e: (e.workspace_id, e.user_id)):
        e = item.event
        if isinstance(e, i.MemberAdded | i.MemberRoleChanged):
            kept.append((e.workspace_id, e.user_id, e.role))
        elif isinstance(e, i.MemberRemoved):
            gone.append((e.workspace_id, e.user_id))
    return [
        _load(
            {"workspace_id": "uuid", "user_id": "uuid", "role": "text"},
            kept,
            "INSERT INTO members (workspace_id, user_id, role) SELECT * FROM {rows}"
            " ON CONFLICT (workspace_id, user_id) DO UPDATE SET role = excluded.role",
        ),
        _load(
            {"workspace_id": "uuid", "user_id": "uuid"},
            gone,
            "DELETE FROM members m USING {rows}"
            " WHERE m.workspace_id = r.workspace_id AND m.user_id = r.user_id",
        ),
    ]


def _trail(batch: Sequence[Sent]) -> list[Load]:
    rows = []
    for item in batch:
        envelope, meta = item.envelope, item.envelope.metadata
        service, action = trail.name_of(envelope.type)
        entity, _, id_ = envelope.stream.partition("-")
        client = (meta.ip, meta.user_agent, service, meta.correlation_id)
        details = orjson.dumps(trail.details(item.event)).decode()
        whose = (envelope.id, envelope.workspace_id, meta.actor_id)
        rows.append((*whose, action, entity, UUID(id_), envelope.time, *client, details))
    types = {
        "id": "uuid", "workspace_id": "uuid", "actor_id": "uuid", "action": "text",
        "entity_type": "text", "entity_id": "uuid", '"timestamp"': "timestamptz",
        "ip_address": "inet", "user_agent": "text", "service": "text", "correlation_id": "text",
        "details": "jsonb",
    }  # fmt: skip
    return [
        _load(
            types,
            rows,
            f"INSERT INTO audit_logs ({', '.join(types)}) SELECT * FROM {{rows}}"
            " ON CONFLICT (id) DO NOTHING",
        )
    ]


CASES = {
    "metrics snapshots": Case(
        "analytics", metrics_snapshots.READER, history.snapshots, _snapshots, ["metrics_snapshots"]
    ),
    "follower changes": Case(
        "analytics", follower_changes.READER, history.followers, _followers, ["follower_changes"]
    ),
    "top content": Case(
        "analytics", top_content.READER, history.posts, _posts, ["top_content", "deleted_posts"]
    ),
    "audience insights": Case(
        "analytics", audience_insights.READER, history.audiences, _audiences, ["audience_insights"]
    ),
    "accounts": Case("analytics", accounts.READER, history.connections, _accounts, ["accounts"]),
    "members": Case(
        "analytics", members("analytics"), history.memberships, _members, ["members"]
    ),
    "routes": Case("ingestion", routes(), history.connections, _routes, ["account_routes"]),
    "audit trail": Case("audit", trail.READER, history.everything, _trail, ["audit_logs"]),
}  # fmt: skip
