"""The environment of each service: what `services/<name>/settings.py` reads, for this machine."""

import base64
import os
from collections.abc import Mapping

from cryptography.fernet import Fernet

from deploy.local import demo


def shared(
    urls: Mapping[str, str], *, bootstrap: str, idempotence: bool, secret: demo.Secret
) -> dict[str, str]:
    """What all services read. `urls` are the addresses of the gateway, simulator and services."""
    return {
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "KAFKA_IDEMPOTENCE": str(idempotence).lower(),
        "ROOKERY_JWKS_URL": urls["identity"] + "/.well-known/jwks.json",
        "ROOKERY_SERVICE_SECRET": secret("service"),
        "ROOKERY_SIMULATOR_URL": urls["simulator"],
        "ROOKERY_PUBLIC_URL": urls["gateway"],
    }


def own(name: str, urls: Mapping[str, str], secret: demo.Secret) -> dict[str, str]:
    """What the service `name` reads beside `shared` and its database and port."""
    if name == "identity":
        return {
            "IDENTITY_SIGNING_KEYS": secret("identity.signing-key", _seed),
            "IDENTITY_PEPPER": secret("identity.pepper"),
            "IDENTITY_OPERATOR_EMAILS": demo.OPERATOR_EMAIL,
        }
    if name == "accounts":
        known = {
            f"ACCOUNTS_{platform.upper()}_CLIENT_{part}": value
            for platform, pair in demo.CLIENTS.items()
            for part, value in zip(("ID", "SECRET"), pair, strict=True)
        }
        return {"ROOKERY_FERNET_KEYS": secret("accounts.fernet", _fernet), **known}
    if name == "ingestion":
        return {
            "INGESTION_ACCOUNTS_URL": urls["accounts"],
            "INGESTION_INSTAGRAM_VERIFY_TOKEN": demo.INSTAGRAM_VERIFY_TOKEN,
            **{
                f"INGESTION_{platform.upper()}_WEBHOOK_SECRETS": value
                for platform, value in demo.WEBHOOK_SECRETS.items()
            },
        }
    return {}


def _seed() -> str:
    """An Ed25519 private key."""
    return base64.b64encode(os.urandom(32)).decode()


def _fernet() -> str:
    return Fernet.generate_key().decode()
