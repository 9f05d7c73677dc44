"""Webhooks as the platforms send them, every item carrying a mark of ours to find it by."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from uuid import UUID, uuid4

from deploy.local.demo import WEBHOOK_SECRETS
from libs.contracts.accounts import PlatformName
from libs.simulator import signing

# How a mark is found again in a stored payload, in PostgreSQL's words.
MARK = "rk[0-9]{12}"
# How many items a request of the platform holds here.
ITEMS: dict[PlatformName, int] = {"instagram": 3, "tiktok": 1, "linkedin": 2, "x": 1}
_marks = count(int(time.time()) % 10**6 * 10**6)


@dataclass(frozen=True)
class Account:
    """A connected account, by our ids and by the platform's."""

    platform: PlatformName
    id: UUID = field(default_factory=uuid4)
    workspace_id: UUID = field(default_factory=uuid4)

    @property
    def user(self) -> str:
        """The platform's id of it."""
        number = str(self.id.int % 10**15)
        return f"urn:li:organization:{number}" if self.platform == "linkedin" else number


@dataclass(frozen=True)
class Webhook:
    """One request; `marks` are those of its items, in order. Every item has a meaning for us."""

    account: Account
    marks: tuple[str, ...]
    body: bytes

    def headers(self) -> dict[str, str]:
        """Signed now: TikTok's signature holds the time."""
        return {
            "content-type": "application/json",
            **signature(self.account.platform, self.body),
        }


def signature(platform: PlatformName, body: bytes, *, secret: str | None = None) -> dict[str, str]:
    """The header that proves the body, by the local stack's secret unless told otherwise."""
    secret = secret or WEBHOOK_SECRETS[platform]
    match platform:
        case "instagram":
            return {"x-hub-signature-256": signing.instagram(secret, body)}
        case "tiktok":
            return {"tiktok-signature": signing.tiktok(secret, body, int(time.time()))}
        case "linkedin":
            return {"x-li-signature": signing.linkedin(secret, body)}
        case "x":
            return {"x-twitter-webhooks-signature": signing.x(secret, body)}


def webhook(account: Account) -> Webhook:
    """The next request of the account: comments, a publish, comments, a follow."""
    marks = tuple(f"rk{next(_marks):012d}" for _ in range(ITEMS[account.platform]))
    body = json.dumps(_BODIES[account.platform](account, marks)).encode()
    return Webhook(account, marks, body)


def _instagram(account: Account, marks: Sequence[str]) -> Any:
    changes = [
        {
            "field": "comments",
            "value": {
                "id": mark,
                "from": {"id": "77", "username": "ana"},
                "media": {"id": "178001", "media_product_type": "FEED"},
                "text": "hello",
            },
        }
        for mark in marks
    ]
    entry = {"id": account.user, "time": int(time.time()), "changes": changes}
    return {"object": "instagram", "entry": [entry]}


def _tiktok(account: Account, marks: Sequence[str]) -> Any:
    content = {"publish_id": marks[0], "publish_type": "DIRECT_PUBLISH"}
    return {
        "client_key": "ck_test",
        "event": "post.publish.complete",
        "create_time": int(time.time()),
        "user_openid": account.user,
        "content": json.dumps(content),
    }


def _linkedin(account: Account, marks: Sequence[str]) -> Any:
    return {
        "type": "ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS",
        "notifications": [_notification(account, mark) for mark in marks],
    }


def _notification(account: Account, mark: str) -> Any:
    number = int(mark.removeprefix("rk"))
    comment = f"urn:li:comment:(urn:li:activity:1,{number})"
    described = {
        "entity": comment,
        "owner": "urn:li:person:77",
        "object": "urn:li:activity:1",
        "text": mark,
    }
    return {
        "notificationId": number,
        "organizationalEntity": account.user,
        "action": "COMMENT",
        "sourcePost": "urn:li:share:1",
        "generatedActivity": comment,
        "decoratedGeneratedActivity": {"comment": described},
        "lastModifiedAt": int(time.time() * 1000),
    }


def _x(account: Account, marks: Sequence[str]) -> Any:
    return {
        "data": {
            "event_uuid": marks[0].removeprefix("rk"),
            "filter": {"user_id": account.user},
            "event_type": "follow.follow",
            "payload": {
                "source": {"data": {"id": f"f{marks[0]}", "username": marks[0]}},
                "target": {"data": {"id": account.user, "username": "us"}},
            },
        }
    }


_BODIES = {"instagram": _instagram, "tiktok": _tiktok, "linkedin": _linkedin, "x": _x}
