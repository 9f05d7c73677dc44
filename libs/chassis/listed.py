"""Lists in settings: values separated by commas, as `A_KEYS=newest,older`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, SecretStr
from pydantic_settings import NoDecode


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


Listed = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
SecretsListed = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_split)]
