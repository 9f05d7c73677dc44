"""Passwords: HMAC-SHA-384 with a pepper, then bcrypt, on a few threads of its own."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import unicodedata
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import bcrypt
from pydantic import SecretStr

from libs.chassis.errors import Unavailable

NO_PASSWORD = "!"  # noqa: S105 - what stands in the column while a person has none
_THREADS = min(4, os.cpu_count() or 1)
_PATIENCE_SECONDS = 10.0


class Hasher:
    """Hashes and checks passwords of up to 128 characters, whole.

    bcrypt alone would cut at 72 bytes and at a NUL; the HMAC makes 64 characters of anything, and
    its key, the pepper, makes a stolen table useless without the settings.
    """

    def __init__(self, pepper: SecretStr, *, cost: int = 12) -> None:
        self._pepper = pepper.get_secret_value().encode()
        self._cost = cost
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="bcrypt")
        self._slots = asyncio.Semaphore(_THREADS)
        # What an unknown person's password is compared with, so that the answer takes as long.
        self._dummy = self._hash(SecretStr(os.urandom(16).hex()))

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """The right to one hash at a time; raises Unavailable when the queue takes over 10 s."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._slots.acquire()
        except TimeoutError:
            raise Unavailable from None
        try:
            yield
        finally:
            self._slots.release()

    async def hash(self, password: SecretStr) -> str:
        """A fresh hash; needs a slot. Does not block the event loop."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._hash, password)

    async def matches(self, password: SecretStr, password_hash: str | None) -> bool:
        """Whether the hash is of this password; needs a slot. None costs the same and is False."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._matches, password, password_hash)

    def close(self) -> None:
        """Let the threads go. Idempotent."""
        self._threads.shutdown(wait=False)

    def _keyed(self, password: SecretStr) -> bytes:
        # The same password typed on another keyboard may arrive composed differently.
        normal = unicodedata.normalize("NFKC", password.get_secret_value())
        return base64.b64encode(hmac.digest(self._pepper, normal.encode(), hashlib.sha384))

    def _hash(self, password: SecretStr) -> str:
        return bcrypt.hashpw(self._keyed(password), bcrypt.gensalt(self._cost)).decode()

    def _matches(self, password: SecretStr, password_hash: str | None) -> bool:
        known = password_hash is not None and password_hash != NO_PASSWORD
        against = password_hash if known and password_hash is not None else self._dummy
        return bcrypt.checkpw(self._keyed(password), against.encode()) and known
