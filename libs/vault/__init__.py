"""Encryption of secrets at rest: Fernet, with ciphertext bound to the row it was made for."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from uuid import UUID

import orjson
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import SecretStr

__all__ = ["BadKey", "Unreadable", "Vault", "WrongRow"]

_FORM = 1


class BadKey(ValueError):
    """A key that is not 32 bytes in URL-safe base64; the text never repeats it."""


class Unreadable(ValueError):
    """No key of this vault opens the ciphertext, or it was changed."""


class WrongRow(ValueError):
    """The ciphertext is sound but was made for another row or another purpose."""


class Vault:
    """Seals secrets for one row and opens them for that row only.

    Fernet authenticates no associated data, so workspace, account and purpose are part of the
    plaintext and are compared when it is opened. `keys` come newest first: the first one seals,
    each of them opens. Pure computation, safe to share.
    """

    def __init__(self, keys: Sequence[SecretStr]) -> None:
        if not keys:
            raise BadKey("A vault needs at least one key")
        try:
            self._fernet = MultiFernet([Fernet(key.get_secret_value()) for key in keys])
        except ValueError:
            raise BadKey("A vault key is 32 bytes in URL-safe base64") from None

    def __repr__(self) -> str:
        return "Vault(…)"

    def seal(self, secret: SecretStr, *, workspace_id: UUID, account_id: UUID, purpose: str) -> str:
        """Ciphertext (ASCII) that `open` accepts with the same three bindings only."""
        plaintext = orjson.dumps(
            [_FORM, _binding(workspace_id, account_id, purpose), secret.get_secret_value()]
        )
        return self._fernet.encrypt(plaintext).decode("ascii")

    def open(
        self, ciphertext: str, *, workspace_id: UUID, account_id: UUID, purpose: str
    ) -> SecretStr:
        """The secret again. Raises Unreadable or WrongRow; neither repeats any of it."""
        try:
            form, binding, secret = orjson.loads(self._fernet.decrypt(ciphertext))
        except (InvalidToken, ValueError):
            raise Unreadable("No key opens this ciphertext") from None
        if form != _FORM:
            raise Unreadable("The ciphertext has a form this version does not know")
        wanted = _binding(workspace_id, account_id, purpose)
        if not hmac.compare_digest(str(binding).encode(), wanted.encode()):
            raise WrongRow("The ciphertext belongs to another row")
        return SecretStr(secret)


def _binding(workspace_id: UUID, account_id: UUID, purpose: str) -> str:
    return f"{workspace_id}/{account_id}/{purpose}"
