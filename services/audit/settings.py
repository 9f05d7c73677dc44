"""Settings of audit, from `AUDIT_…`."""

from __future__ import annotations

from pydantic_settings import SettingsConfigDict

from libs.chassis.settings import ServiceSettings


class AuditSettings(ServiceSettings):
    """Nothing beside what every service has."""

    model_config = SettingsConfigDict(env_prefix="AUDIT_", frozen=True)
