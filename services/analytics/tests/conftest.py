"""Analytics itself as fixtures."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from libs.chassis.provision import ServiceUrls
from libs.messaging.config import BrokerConfig
from libs.testing.clock import FakeClock
from libs.testing.databases import DatabaseOf
from libs.testing.identity import People, service_settings
from libs.testing.serving import serve
from services.analytics.settings import AnalyticsSettings
from services.analytics.tests.support import NOW, Running
from services.analytics.wiring import wire


@pytest.fixture
def urls(database_of: DatabaseOf) -> ServiceUrls:
    """A migrated database."""
    return database_of("analytics")


@pytest.fixture
def worker(urls: ServiceUrls, engine_of: Callable[[str], AsyncEngine]) -> AsyncEngine:
    """The database under the role that projections write with."""
    return engine_of(urls.worker)


@pytest.fixture
async def running(urls: ServiceUrls, worker: AsyncEngine, people: People) -> AsyncIterator[Running]:
    """The service's API, and a workspace whose member calls it."""
    settings = AnalyticsSettings(**service_settings(urls, people, BrokerConfig("127.0.0.1:1")))
    service = wire(settings, clock=FakeClock(NOW))
    async with serve(service.app) as url, httpx.AsyncClient(timeout=30) as http:
        running = Running(service, url, http, urls, worker, people)
        await running.join()
        yield running
    assert service.close is not None
    await service.close()
