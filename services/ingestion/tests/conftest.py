"""Ingestion itself as a fixture."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx
import pytest

from libs.chassis.database import create_engine
from libs.chassis.provision import ServiceUrls
from libs.messaging.config import BrokerConfig
from libs.testing.clock import FakeClock
from libs.testing.databases import DatabaseOf
from libs.testing.identity import People, service_settings
from libs.testing.serving import serve
from services.ingestion.settings import IngestionSettings
from services.ingestion.tests.support import SECRETS, SIGNED_AT, Running, ensure_month
from services.ingestion.wiring import wire

Start = Callable[..., AbstractAsyncContextManager[Running]]
NO_BROKER = BrokerConfig("127.0.0.1:1")


@pytest.fixture
def start(people: People) -> Start:
    """`async with start(urls) as running`: the service on that database, its API served."""

    @asynccontextmanager
    async def _start(
        urls: ServiceUrls,
        *,
        clock: FakeClock | None = None,
        broker: BrokerConfig = NO_BROKER,
        **settings: object,
    ) -> AsyncIterator[Running]:
        clock = clock or FakeClock(SIGNED_AT)
        secrets = {f"{name}_webhook_secrets": secret for name, secret in SECRETS.items()}
        service = wire(
            IngestionSettings(
                **{
                    **service_settings(urls, people, broker),
                    **secrets,
                    "instagram_verify_token": "ig-verify-token",
                    **settings,
                }
            ),
            clock=clock,
        )
        worker = create_engine(urls.worker, name="test")
        await ensure_month(worker, clock.now())
        async with serve(service.app) as url, httpx.AsyncClient(timeout=30) as http:
            yield Running(service, url, http, urls, worker, clock)
        await worker.dispose()
        assert service.close is not None
        await service.close()

    return _start


@pytest.fixture
async def running(start: Start, database_of: DatabaseOf) -> AsyncIterator[Running]:
    """The service on a database of its own."""
    async with start(database_of("ingestion")) as running:
        yield running
