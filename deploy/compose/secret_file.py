"""`make secrets`: fills in `.env`, and never changes a value that stands there."""

import base64
import os
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

_SERVICES = ("identity", "accounts", "ingestion", "analytics", "audit")
_ASSIGNMENT = re.compile(r"^([A-Z][A-Z0-9_]*)=(.*)$")


def _word() -> str:
    return secrets.token_hex(24)


def _key() -> str:
    """32 bytes: a seed of Ed25519."""
    return base64.b64encode(os.urandom(32)).decode()


def _fernet() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def _cluster_id() -> str:
    """16 bytes in Kafka's own spelling, which may not begin with a dash."""
    while True:
        made = base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")
        if not made.startswith("-"):
            return made


REQUIRED: Mapping[str, Callable[[], str]] = {
    "POSTGRES_PASSWORD": _word,
    **{
        f"{service}_{role}_PASSWORD".upper(): _word
        for service in _SERVICES
        for role in ("owner", "app", "worker")
    },
    "KAFKA_CLUSTER_ID": _cluster_id,
    "ROOKERY_SERVICE_SECRET": _word,
    "ROOKERY_FERNET_KEYS": _fernet,
    "IDENTITY_SIGNING_KEYS": _key,
    "IDENTITY_PEPPER": _word,
    "GRAFANA_PASSWORD": _word,
}
"""What Compose refuses to start without, and how each is made."""


def simulated(known: Mapping[str, str]) -> dict[str, str]:
    """What turns the simulator on. Where two names hold one secret, `known` decides it."""
    instagram, tiktok, linkedin = (
        known.get(f"ACCOUNTS_{platform}_CLIENT_SECRET") or _word()
        for platform in ("INSTAGRAM", "TIKTOK", "LINKEDIN")
    )
    return {
        "COMPOSE_PROFILES": "simulator",
        "ROOKERY_SIMULATOR_URL": "http://simulator:8000",
        "ROOKERY_SIMULATOR_PUBLIC_URL": "http://127.0.0.1:8090",
        "ACCOUNTS_INSTAGRAM_CLIENT_ID": "simulated-instagram",
        "ACCOUNTS_INSTAGRAM_CLIENT_SECRET": instagram,
        "INGESTION_INSTAGRAM_WEBHOOK_SECRETS": instagram,
        "INGESTION_INSTAGRAM_VERIFY_TOKEN": _word(),
        "ACCOUNTS_TIKTOK_CLIENT_ID": "simulated-tiktok",
        "ACCOUNTS_TIKTOK_CLIENT_SECRET": tiktok,
        "INGESTION_TIKTOK_WEBHOOK_SECRETS": tiktok,
        "ACCOUNTS_LINKEDIN_CLIENT_ID": "simulated-linkedin",
        "ACCOUNTS_LINKEDIN_CLIENT_SECRET": linkedin,
        "INGESTION_LINKEDIN_WEBHOOK_SECRETS": linkedin,
        "ACCOUNTS_X_CLIENT_ID": "simulated-x",
        "ACCOUNTS_X_CLIENT_SECRET": _word(),
        "INGESTION_X_WEBHOOK_SECRETS": _word(),
        "IDENTITY_OPERATOR_EMAILS": "operator@rookery.example",
        "DEMO_PASSWORD": secrets.token_urlsafe(12),
        "DEMO_OPERATOR_PASSWORD": secrets.token_urlsafe(12),
    }


def read(file: Path) -> dict[str, str]:
    """The variables of a file like `.env`; none when it is missing."""
    if not file.exists():
        return {}
    found = (_ASSIGNMENT.match(line) for line in file.read_text().splitlines())
    return {match[1]: match[2].strip() for match in found if match}


def fill(file: Path, example: Path, given: Mapping[str, str]) -> list[str]:
    """Give `file` a value for each required secret and each of `given` that has none there.

    A new file begins as a copy of `example`. It is written whole or not at all, with mode 0600.
    Returns the names that were filled in; idempotent.
    """
    text = (file if file.exists() else example).read_text()
    known = read(file)
    wanted = {name: make for name, make in REQUIRED.items() if not known.get(name)}
    values = {name: make() for name, make in wanted.items()}
    values |= {name: value for name, value in given.items() if not known.get(name)}
    for name, value in values.items():
        line = f"{name}={value}"
        # Where it stands empty or as a commented default; else at the end.
        place = re.compile(rf"^(?:# ?)?{name}=.*$", re.MULTILINE)
        text, found = place.subn(line.replace("\\", r"\\"), text, count=1)
        if not found:
            text = text.rstrip("\n") + f"\n{line}\n"
    if values or not file.exists():
        _write_private(file, text)
    return sorted(values)


def _write_private(file: Path, text: str) -> None:
    scratch = file.with_name(f".{file.name}.new")
    scratch.unlink(missing_ok=True)
    with open(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:  # noqa: PTH123
        out.write(text)
    scratch.replace(file)
