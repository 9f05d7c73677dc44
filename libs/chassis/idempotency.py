"""`Idempotency-Key`: a creating POST that is sent again creates nothing and answers the same.

The key and the answer are written in the transaction of the effect, so there is no moment in which
one exists without the other. Answers are kept as they are: not for routes that give out secrets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import Depends, Header, Request
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.chassis.errors import Problem
from libs.chassis.schema import USER, grant, isolate

Answer = TypeVar("Answer", bound=BaseModel)
KEEP = timedelta(hours=24)

_CLAIM = text(
    "INSERT INTO idempotency_keys (user_id, key, request) VALUES (:user, :key, :request)"
    " ON CONFLICT DO NOTHING RETURNING 1"
)
_KNOWN = text(
    "SELECT request, answer::text FROM idempotency_keys WHERE user_id = :user AND key = :key"
)
_KEEP = text(
    "UPDATE idempotency_keys SET answer = CAST(:answer AS jsonb)"
    " WHERE user_id = :user AND key = :key"
)
_FORGET = text("DELETE FROM idempotency_keys WHERE created_at < :before")


class KeyReused(Problem):
    status = 422
    slug = "idempotency-key-reused"
    title = "This Idempotency-Key was used for another request"


def idempotency_v1(service: str) -> list[str]:
    """The table, for a service's migration. A person sees their own keys only."""
    return [
        """
        CREATE TABLE idempotency_keys (
          user_id uuid NOT NULL,
          key varchar(128) NOT NULL,
          request bytea NOT NULL,
          answer jsonb NULL,
          created_at timestamptz NOT NULL DEFAULT now(),
          PRIMARY KEY (user_id, key)
        )
        """,
        "CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at)",
        *grant(
            "idempotency_keys",
            service=service,
            app="SELECT, INSERT, UPDATE",
            worker="SELECT, DELETE",
        ),
        *isolate("idempotency_keys", service=service, using=f"user_id = {USER}"),
    ]


class Once:
    """What the request says about being sent again; a dependency of creating routes."""

    def __init__(self, key: str | None, request: bytes) -> None:
        self._key = key
        self._request = request

    async def run(
        self,
        connection: AsyncConnection,
        user_id: UUID,
        answer: type[Answer],
        action: Callable[[], Awaitable[Answer]],
    ) -> Answer:
        """The answer of `action`, run at most once per person and key within a day.

        `connection` is the transaction in which `action` writes, with the person set in it. A
        second request with the same key waits for the first to commit. Without a key `action`
        simply runs. A failed action leaves no trace, so the key may be used again. Raises
        KeyReused when the earlier request was another one.
        """
        if self._key is None:
            return await action()
        row = {"user": user_id, "key": self._key}
        first = await connection.execute(_CLAIM, {**row, "request": self._request})
        if first.first() is None:
            known = (await connection.execute(_KNOWN, row)).one()
            if known.request != self._request:
                raise KeyReused
            return answer.model_validate_json(known.answer)
        result = await action()
        await connection.execute(_KEEP, {**row, "answer": result.model_dump_json()})
        return result


async def _once(
    request: Request,
    idempotency_key: Annotated[
        str | None, Header(min_length=1, max_length=128, pattern=r"^[\x21-\x7e]+$")
    ] = None,
) -> Once:
    digest = hashlib.sha256(f"{request.method} {request.url.path}\n".encode())
    digest.update(await request.body())
    return Once(idempotency_key, digest.digest())


AtMostOnce = Annotated[Once, Depends(_once)]


async def forget(connection: AsyncConnection, now: datetime) -> None:
    """Delete keys older than a day. For a worker; idempotent."""
    await connection.execute(_FORGET, {"before": now - KEEP})
