"""Settings of analytics, from `ANALYTICS_…`."""

from __future__ import annotations

from pydantic_settings import SettingsConfigDict

from libs.chassis.settings import ServiceSettings


class AnalyticsSettings(ServiceSettings):
    """Nothing beside what every service has."""

    model_config = SettingsConfigDict(env_prefix="ANALYTICS_", frozen=True)
