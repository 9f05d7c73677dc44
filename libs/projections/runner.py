"""placeholder"""

from __future__ import annotations

import asyncio

from sqlalchemy.ext.asyncio import AsyncEngine

from libs.messaging.config import BrokerConfig
from libs.projections.reader import Reader


class Runner:
    def __init__(self, reader: Reader, *, engine: AsyncEngine, broker: BrokerConfig) -> None:
        self.reader = reader

    async def run(self, stop: asyncio.Event) -> None: ...
