"""Settings of identity, from the environment with the prefix IDENTITY_."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from libs.chassis.listed import Listed, SecretsListed
from libs.chassis.settings import ServiceSettings
from services.identity.domain.users import normal_email


def _normal(emails: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(normal_email(email) for email in emails)


class IdentitySettings(ServiceSettings):
    """Beside what every service has.

    `signing_keys` are Ed25519 private keys, each a PEM or a base64 seed of 32 bytes, newest first:
    the first one signs, all are published. Before a new key signs, publish it behind the old one
    for at least the verifiers' cache (5 min); keep the old one for another 15 min afterwards.
    `pepper` goes into every password hash and cannot be changed without resetting all passwords.
    `operator_emails`: whoever is registered with one of these addresses operates the installation.
    """

    model_config = SettingsConfigDict(env_prefix="IDENTITY_", frozen=True)

    signing_keys: SecretsListed = Field(min_length=1)
    pepper: SecretStr = Field(min_length=32)
    operator_emails: Annotated[Listed, AfterValidator(_normal)] = ()
    access_token_life: timedelta = Field(default=timedelta(minutes=10), le=timedelta(minutes=10))
    session_life: timedelta = Field(default=timedelta(days=30), le=timedelta(days=30))
    bcrypt_cost: int = Field(default=12, ge=4, le=16)
