"""The simulated platforms as a process of their own, spoken to over HTTP."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import httpx
import pytest

from libs.platforms.registry import simulated_endpoints
from libs.platforms.tests.scripted import Scripted, scripted_server
from libs.platforms.tests.simulated import Simulated
from libs.platforms.tests.support import platforms


@contextmanager
def running_simulator() -> Iterator[str]:
    """The base URL of a simulator that starts from nothing."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen([sys.executable, "-m", "libs.simulator", "--port", str(port)])
    try:
        deadline = time.monotonic() + 30
        while not _answers(url):
            assert process.poll() is None, "the simulator ended"
            assert time.monotonic() < deadline, "the simulator does not answer"
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=10)


@pytest.fixture(scope="session")
def simulator() -> Iterator[str]:
    with running_simulator() as url:
        yield url


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/_control/state", timeout=2).is_success
    except httpx.HTTPError:
        return False


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=10) as client:
        yield client


@pytest.fixture
async def simulated(simulator: str, http: httpx.AsyncClient) -> AsyncIterator[Simulated]:
    """The simulator with default consent, no faults and its own limits."""
    world = Simulated(simulator, http, platforms(simulated_endpoints(simulator)))
    await world.reset()
    yield world
    await world.reset()


@pytest.fixture
async def ageing(http: httpx.AsyncClient) -> AsyncIterator[Simulated]:
    """A simulator of the test's own, whose clock it may move."""
    with running_simulator() as url:
        yield Simulated(url, http, platforms(simulated_endpoints(url)))


@pytest.fixture
async def script() -> AsyncIterator[Scripted]:
    async with scripted_server() as server:
        yield server
