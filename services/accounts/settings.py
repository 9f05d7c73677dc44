"""Settings of accounts, from the environment with the prefix ACCOUNTS_."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from libs.chassis.listed import Listed, SecretsListed
from libs.chassis.settings import ServiceSettings
from libs.platforms.base import Credentials


class AccountsSettings(ServiceSettings):
    """Beside what every service has.

    `fernet_keys` encrypt tokens, newest first. `public_url` is the gateway's: platforms send
    people back to `<public_url>/v1/oauth/<platform>/callback`, which must be registered with
    them. `simulator_url` replaces the four platforms, `simulator_public_url` is where browsers
    find it when that differs. `return_origins` are the origins
    (`https://app.example.org`) a flow may end at, beside the gateway's own. A platform without a
    client id cannot be connected.
    """

    model_config = SettingsConfigDict(env_prefix="ACCOUNTS_", frozen=True)

    fernet_keys: SecretsListed = Field(validation_alias="ROOKERY_FERNET_KEYS", min_length=1)
    public_url: str = Field(validation_alias="ROOKERY_PUBLIC_URL", default="http://127.0.0.1:8080")
    simulator_url: str = Field(validation_alias="ROOKERY_SIMULATOR_URL", default="")
    simulator_public_url: str = Field(validation_alias="ROOKERY_SIMULATOR_PUBLIC_URL", default="")
    return_origins: Listed = ()

    instagram_client_id: str = ""
    instagram_client_secret: SecretStr = SecretStr("")
    tiktok_client_id: str = ""
    tiktok_client_secret: SecretStr = SecretStr("")
    linkedin_client_id: str = ""
    linkedin_client_secret: SecretStr = SecretStr("")
    x_client_id: str = ""
    x_client_secret: SecretStr = SecretStr("")

    @property
    def credentials(self) -> dict[str, Credentials]:
        """Our application at each platform; webhooks are not this service's."""
        return {
            "instagram": Credentials(self.instagram_client_id, self.instagram_client_secret, ()),
            "tiktok": Credentials(self.tiktok_client_id, self.tiktok_client_secret, ()),
            "linkedin": Credentials(self.linkedin_client_id, self.linkedin_client_secret, ()),
            "x": Credentials(self.x_client_id, self.x_client_secret, ()),
        }

    @property
    def origins(self) -> frozenset[str]:
        """Where a flow may end."""
        own = urlsplit(self.public_url)
        return frozenset({f"{own.scheme}://{own.netloc}", *self.return_origins})
