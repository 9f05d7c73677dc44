"""placeholder"""

from __future__ import annotations

import asyncio

from libs.eventlog.source import Source
from libs.messaging.config import BrokerConfig


class Relay:
    def __init__(self, source: Source, *, database_url: str, broker: BrokerConfig) -> None: ...
    async def run(self, stop: asyncio.Event) -> None: ...
