"""The four platforms with the secrets of the published vectors, and a raw event to translate."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic import SecretStr

from libs.contracts.accounts import PlatformName
from libs.platforms.base import Credentials, Endpoints, Platform, Raw
from libs.platforms.registry import build

NAMES: tuple[PlatformName, ...] = ("instagram", "tiktok", "linkedin", "x")
NOW = datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)
RECEIVED = datetime(2026, 1, 1, 0, 0, 5, tzinfo=UTC)
ACCOUNT = UUID("00000000-0000-4000-8000-00000000000a")
WORKSPACE = UUID("00000000-0000-4000-8000-00000000000b")

_APPLICATIONS = {
    "instagram": ("ig-app", "ig-app-secret", "ig-app-secret"),
    "tiktok": ("ck_test", "tt-client-secret", "tt-client-secret"),
    "linkedin": ("li-client", "li-client-secret", "li-client-secret"),
    "x": ("x-client", "x-client-secret", "x-consumer-secret"),
}


def credentials(
    name: str, *secrets: str, verify_token: str | None = "ig-verify-token"
) -> Credentials:
    """The application at a platform; `secrets` replace the one that signs its webhooks."""
    client, own, webhook = _APPLICATIONS[name]
    return Credentials(
        client_id=client,
        client_secret=SecretStr(own),
        webhook_secrets=tuple(SecretStr(secret) for secret in secrets or (webhook,)),
        verify_token=None if verify_token is None else SecretStr(verify_token),
    )


def platforms(endpoints: Mapping[str, Endpoints] | None = None) -> dict[PlatformName, Platform]:
    return build({name: credentials(name) for name in NAMES}, endpoints)


def with_secrets(name: PlatformName, *secrets: str) -> Platform:
    """One platform whose webhooks are signed with any of `secrets`, newest first."""
    own = {name: credentials(name, *secrets)}
    return build({other: own.get(other) or credentials(other) for other in NAMES})[name]


def raw(platform: PlatformName, kind: str, payload: dict[str, Any]) -> Raw:
    return Raw(
        id=UUID(int=1),
        workspace_id=WORKSPACE,
        account_id=ACCOUNT,
        platform=platform,
        type=kind,
        payload=payload,
        received_at=RECEIVED,
    )


def poll(platform: PlatformName, kind: str, **responses: Any) -> Raw:
    payload = {"observed_at": "2026-01-02T03:00:00+00:00", "responses": responses}
    return raw(platform, f"poll.{kind}", payload)
