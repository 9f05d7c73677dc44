"""Settings of the simulator, read from the environment with the prefix SIMULATOR_."""

from datetime import UTC, datetime
from pathlib import Path

from pydantic import field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class SimulatorSettings(BaseSettings):
    """Local defaults for everything; nothing here is a secret of a real platform.

    Durations are seconds. Values the platforms leave uncertain are settings on purpose.
    """

    model_config = SettingsConfigDict(env_prefix="SIMULATOR_", frozen=True)

    host: str = "127.0.0.1"
    port: int = 8090
    webhook_target: str = "http://127.0.0.1:8080"
    seed: int = 1
    # Growth curves are fixed to this moment, so a restart does not move any number.
    anchor: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    # People, tokens and subscriptions survive a restart in this file; None keeps nothing.
    state: Path | None = None
    # Seconds between ambient webhooks; 0 sends none.
    drip: float = 0.0
    # True sends ambient webhooks only to accounts subscribed through the platform's own API.
    require_subscription: bool = False
    # Multiplies the waits between redeliveries (a platform waits hours; a test cannot).
    retry_scale: float = 1.0
    send_timeout: float = 10.0
    # Seconds between X's CRC checks and LinkedIn's challenges of the receiver; 0 makes none.
    crc_interval: float = 3600.0
    challenge_interval: float = 7200.0

    instagram_client_id: str = "ig-app"
    instagram_client_secret: str = "ig-app-secret"  # noqa: S105
    instagram_verify_token: str = "ig-verify-token"  # noqa: S105
    instagram_short_token: int = 3600
    instagram_long_token: int = 60 * 86400
    instagram_throttle_status: int = 400

    tiktok_client_key: str = "ck_test"
    tiktok_client_secret: str = "tt-client-secret"  # noqa: S105
    tiktok_access_token: int = 86400
    tiktok_refresh_token: int = 365 * 86400

    linkedin_client_id: str = "li-client"
    linkedin_client_secret: str = "li-client-secret"  # noqa: S105
    # The newest API version known when this was written; later ones follow the clock.
    linkedin_newest_version: str = "202611"
    linkedin_access_token: int = 60 * 86400
    linkedin_refresh_token: int = 365 * 86400

    x_client_id: str = "x-client"
    x_client_secret: str = "x-client-secret"  # noqa: S105
    x_consumer_secret: str = "x-consumer-secret"  # noqa: S105
    x_app_bearer: str = "x-app-bearer"
    x_access_token: int = 7200
    x_refresh_token: int = 180 * 86400

    @field_validator("webhook_target")
    @classmethod
    def _without_slash(cls, value: str) -> str:
        return value.rstrip("/")
