"""Settings of ingestion, from `INGESTION_…`."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode, SettingsConfigDict

from libs.chassis.settings import ServiceSettings


def _words(value: object) -> object:
    if isinstance(value, str):
        return [word.strip() for word in value.split(",") if word.strip()]
    return value


Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_words)]


class IngestionSettings(ServiceSettings):
    """What ingestion needs beside what every service has.

    `<platform>_webhook_secrets` are separated by commas, newest first; more than one while a secret
    is rotated. A platform without any refuses every webhook.
    """

    model_config = SettingsConfigDict(env_prefix="INGESTION_", frozen=True)

    instagram_webhook_secrets: Secrets = ()
    instagram_verify_token: SecretStr | None = Field(
        default=None, description="agreed with Instagram for the handshake of its webhooks"
    )
    tiktok_webhook_secrets: Secrets = ()
    linkedin_webhook_secrets: Secrets = ()
    x_webhook_secrets: Secrets = ()
    tiktok_tolerance: timedelta = Field(
        default=timedelta(seconds=300),
        description="how far the time of a TikTok signature may be from now",
    )
    simulator_url: str = Field(
        validation_alias="ROOKERY_SIMULATOR_URL",
        default="",
        description="where all platforms are, instead of the real ones",
    )
    public_url: str = Field(
        validation_alias="ROOKERY_PUBLIC_URL",
        default="http://127.0.0.1:8080",
        description="the gateway, as the world reaches it",
    )
    accounts_url: str = Field(
        default="http://127.0.0.1:8102", description="the accounts service, which leases tokens"
    )
    polls_at_once: int = Field(default=4, ge=1, le=64)
