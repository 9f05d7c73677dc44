"""The plain way: FastAPI, SQLAlchemy with psycopg, and an insert and a commit per request.

Signature, tables and answer are as ingestion's. It looks no account up and drops no duplicates.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import orjson
from fastapi import FastAPI, Request, Response
from sqlalchemy import String, insert
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SECRET = os.environ["PEER_SECRET"].encode()
WORKSPACE = uuid4()
engine = create_async_engine(
    os.environ["PEER_DATABASE"],
    pool_size=16,
    max_overflow=0,
    json_serializer=lambda value: orjson.dumps(value).decode(),
    json_deserializer=orjson.loads,
)


class Base(DeclarativeBase):
    """What is mapped."""


class Event(Base):
    """One thing a platform said."""

    __tablename__ = "events"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    workspace_id: Mapped[UUID] = mapped_column(index=True)
    platform: Mapped[str] = mapped_column(String(50))
    platform_user_id: Mapped[str] = mapped_column(String(255))
    type: Mapped[str] = mapped_column(String(100))
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)
    received_at: Mapped[datetime] = mapped_column(index=True)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Make the tables."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


@app.get("/readyz")
async def ready() -> Response:
    """200 once it serves."""
    return Response()


@app.post("/webhooks/instagram")
async def receive(request: Request) -> Response:
    """200 after the commit."""
    body = await request.body()
    signature = "sha256=" + hmac.digest(SECRET, body, "sha256").hex()
    if not hmac.compare_digest(signature, request.headers.get("x-hub-signature-256", "")):
        return Response(status_code=401)
    now = datetime.now(UTC).replace(tzinfo=None)
    rows = [
        {
            "id": uuid4(),
            "workspace_id": WORKSPACE,
            "platform": "instagram",
            "platform_user_id": entry["id"],
            "type": change["field"],
            "payload": change["value"],
            "received_at": now,
        }
        for entry in orjson.loads(body)["entry"]
        for change in entry["changes"]
    ]
    async with engine.begin() as connection:
        await connection.execute(insert(Event), rows)
    return Response()
