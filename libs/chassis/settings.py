"""Settings that every service has. A service subclasses this with its own prefix.

Each value comes from the environment as `<SERVICE>_<NAME>`, for example
`ACCOUNTS_DATABASE_URL`. What is the same for all services may be given once under the names in
the aliases (`KAFKA_BOOTSTRAP_SERVERS`, `ROOKERY_ISSUER`, …).
"""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from libs.messaging.config import BrokerConfig


class ServiceSettings(BaseSettings):
    """Where a service finds its database, its broker and the key to callers' tokens.

    The three URLs name the same database under its three roles: `app` (requests, row-level
    security by workspace), `worker` (relay, consumers, pollers) and `owner` (migrations only).
    """

    database_url: SecretStr
    worker_database_url: SecretStr
    owner_database_url: SecretStr | None = None
    host: str = "127.0.0.1"
    port: int = 0
    pool_size: int = Field(default=5, ge=1)

    kafka_bootstrap_servers: str = Field(
        validation_alias="KAFKA_BOOTSTRAP_SERVERS", default="127.0.0.1:9092"
    )
    kafka_idempotence: bool = Field(
        validation_alias="KAFKA_IDEMPOTENCE",
        default=True,
        description="off only for a broker without InitProducerId, such as the local one",
    )
    kafka_partitions: int = Field(validation_alias="KAFKA_PARTITIONS", default=6, ge=1)
    kafka_replication: int = Field(validation_alias="KAFKA_REPLICATION", default=1, ge=1)
    kafka_fetch_wait_ms: int = Field(validation_alias="KAFKA_FETCH_WAIT_MS", default=500, ge=1)

    kafka_session_timeout_ms: int = Field(
        validation_alias="KAFKA_SESSION_TIMEOUT_MS", default=10_000, ge=1_000
    )
    kafka_topic_prefix: str = Field(validation_alias="KAFKA_TOPIC_PREFIX", default="")

    issuer: str = Field(validation_alias="ROOKERY_ISSUER", default="https://rookery.local")
    audience: str = Field(validation_alias="ROOKERY_AUDIENCE", default="rookery")
    jwks_url: str = Field(
        validation_alias="ROOKERY_JWKS_URL", default="http://127.0.0.1:8101/.well-known/jwks.json"
    )
    service_secret: SecretStr = Field(
        validation_alias="ROOKERY_SERVICE_SECRET",
        description="signs the short-lived tokens of calls between services; at least 32 bytes",
        min_length=32,
    )
    trusted_proxies: int = Field(
        validation_alias="ROOKERY_TRUSTED_PROXIES",
        default=1,
        ge=0,
        description="how many proxies of ours append to X-Forwarded-For before a service sees it",
    )
    log_level: str = Field(validation_alias="ROOKERY_LOG_LEVEL", default="INFO")

    @property
    def broker(self) -> BrokerConfig:
        """How to reach the broker."""
        return BrokerConfig(
            bootstrap_servers=self.kafka_bootstrap_servers,
            idempotence=self.kafka_idempotence,
            partitions=self.kafka_partitions,
            replication=self.kafka_replication,
            fetch_wait_ms=self.kafka_fetch_wait_ms,
            session_timeout_ms=self.kafka_session_timeout_ms,
            prefix=self.kafka_topic_prefix,
        )
