"""Ingestion itself as a fixture."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx
import pytest

from libs.chassis.database import create_engine
from libs.chassis.provision import ServiceUrls
from libs.eventlog.notify import Notifier
from libs.messaging.config import BrokerConfig
from libs.platforms.registry import simulated_endpoints
from libs.platforms.tests.conftest import running_simulator
from libs.platforms.tests.simulated import Simulated
from libs.platforms.tests.support import platforms
from libs.testing.clock import FakeClock
from libs.testing.databases import DatabaseOf
from libs.testing.identity import People, service_settings
from libs.testing.serving import serve
from services.ingestion.settings import IngestionSettings
from services.ingestion.tests.polling import Polling, lending
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
            notifier = Notifier(worker)
            yield Running(service, url, http, urls, worker, clock, notifier)
            await notifier.close()
        await worker.dispose()
        assert service.close is not None
        await service.close()

    return _start


@pytest.fixture
async def running(start: Start, database_of: DatabaseOf) -> AsyncIterator[Running]:
    """The service on a database of its own."""
    async with start(database_of("ingestion")) as running:
        yield running


@pytest.fixture(scope="session")
def simulator() -> Iterator[str]:
    """The base URL of the run's simulator."""
    with running_simulator() as url:
        yield url


@pytest.fixture
async def polling(start: Start, database_of: DatabaseOf, simulator: str) -> AsyncIterator[Polling]:
    """Ingestion at the simulator's time, with somebody who lends tokens."""
    async with httpx.AsyncClient(timeout=10) as http, lending() as lender:
        simulated = Simulated(simulator, http, platforms(simulated_endpoints(simulator)))
        await simulated.reset()
        async with start(
            database_of("ingestion"),
            clock=FakeClock(await simulated.now()),
            ROOKERY_SIMULATOR_URL=simulator,
            accounts_url=lender.url,
        ) as running:
            yield Polling(running, simulated, lender)
        await simulated.reset()
