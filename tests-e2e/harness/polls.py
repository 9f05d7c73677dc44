"""What polls of simulated people would have brought, put into ingestion like the demo's past."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import httpx

from deploy.local.history import Importer
from harness.installation import Installation
from harness.webhooks import Account
from libs.chassis.clock import SystemClock
from libs.contracts.accounts import PlatformName
from libs.simulator.history import history
from libs.simulator.settings import SimulatorSettings
from libs.simulator.simulation import Simulation

DAYS = 3
PATIENCE_SECONDS = 60.0


def poll(installation: Installation, accounts: Sequence[Account]) -> dict[Account, int]:
    """Send each account's past until it is accepted; gives how many observations it holds.

    Blocks. Raises AssertionError when a minute does not suffice.
    """
    ingestion = installation.instances["ingestion"].url
    importer = Importer(ingestion, installation.service_secret)
    for account in accounts:
        importer.send(str(account.id), _past(account.platform), _insist)
    return {account: len(_past(account.platform)) for account in accounts}


@cache
def _past(platform: PlatformName) -> list[Any]:
    simulation = Simulation(SimulatorSettings(), SystemClock())
    person = simulation.world.of(platform)[0]
    return list(history(simulation.world, person, DAYS))


def _insist(post: Callable[[], httpx.Response]) -> httpx.Response:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            answer = post()
            if answer.is_success:
                return answer
            said = answer.text
        except httpx.TransportError as error:
            said = repr(error)
        assert time.monotonic() < deadline, f"the import was refused for a minute: {said}"
        time.sleep(0.2)
