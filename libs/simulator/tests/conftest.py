from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest

from libs.simulator.app import create_app
from libs.simulator.settings import SimulatorSettings
from libs.simulator.tests.support import Receiver, SetClock, Stand, Switch, serving

Stands = Callable[..., AbstractAsyncContextManager[Stand]]
# Two running servers, and their URLs: the simulator's and the receiver's.
Servers = tuple[Switch, str, Switch, str]


@pytest.fixture(scope="session")
async def servers() -> AsyncIterator[Servers]:
    simulator, receiver = Switch(), Switch()
    async with serving(simulator) as here, serving(receiver) as there:
        yield simulator, here, receiver, there


@pytest.fixture
def stands(servers: Servers) -> Stands:
    """Makes stands with chosen settings and clock; one at a time."""
    simulator, here, receiver, there = servers

    @asynccontextmanager
    async def make(clock: SetClock | None = None, **settings: Any) -> AsyncIterator[Stand]:
        clock = clock or SetClock()
        got = Receiver(there)
        chosen: dict[str, Any] = {
            "webhook_target": there,
            "retry_scale": 0.0,
            "crc_interval": 0.0,
            "challenge_interval": 0.0,
            **settings,
        }
        app = create_app(SimulatorSettings(**chosen), clock)
        async with (
            receiver.holding(got.app()),
            simulator.holding(app),
            httpx.AsyncClient(base_url=here) as http,
        ):
            yield Stand(http, clock, got)

    return make


@pytest.fixture
async def stand(stands: Stands) -> AsyncIterator[Stand]:
    async with stands() as made:
        yield made
