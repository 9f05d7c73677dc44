"""Append, load, decide."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from libs.chassis.provision import ServiceUrls
from libs.contracts.envelope import Metadata
from libs.contracts.event import Event
from libs.eventlog.log import Decider, Recorded, StreamConflict, append, decide, load
from libs.testing.spine import Counted

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
WHO = uuid4()
EngineOf = Callable[[str], AsyncEngine]


async def _append(engine: AsyncEngine, stream: str, version: int, count: int = 1) -> list[Recorded]:
    async with engine.begin() as connection:
        return await append(
            connection,
            stream,
            expected_version=version,
            events=[Counted(who=WHO, number=version + n + 1) for n in range(count)],
            workspace_id=None,
            metadata=Metadata(actor_id=WHO, ip="192.0.2.1", user_agent="test"),
            now=NOW,
        )


async def test_a_stream_loads_as_it_was_appended(spine: ServiceUrls, engine_of: EngineOf) -> None:
    engine = engine_of(spine.worker)
    first = await _append(engine, "a", 0, 3)
    second = await _append(engine, "a", 3, 2)
    async with engine.begin() as connection:
        assert await load(connection, "a") == first + second
        assert await load(connection, "b") == []


async def test_of_two_appends_at_one_version_one_conflicts(
    spine: ServiceUrls, engine_of: EngineOf
) -> None:
    engine = engine_of(spine.worker)
    outcomes = await asyncio.gather(
        *(_append(engine, "a", 0, 2) for _ in range(4)), return_exceptions=True
    )
    assert sum(isinstance(outcome, StreamConflict) for outcome in outcomes) == 3
    async with engine.begin() as connection:
        assert [item.version for item in await load(connection, "a")] == [1, 2]


async def test_an_append_in_a_rolled_back_transaction_leaves_nothing(
    spine: ServiceUrls, engine_of: EngineOf
) -> None:
    engine = engine_of(spine.worker)
    async with engine.connect() as connection:
        await append(
            connection,
            "a",
            expected_version=0,
            events=[Counted(who=WHO, number=1)],
            workspace_id=None,
            metadata=Metadata(),
            now=NOW,
        )
        await connection.rollback()
    async with engine.begin() as connection:
        assert await load(connection, "a") == []


async def test_decide_folds_appends_and_projects_in_one_transaction(
    spine: ServiceUrls, engine_of: EngineOf
) -> None:
    engine = engine_of(spine.worker)
    projected: list[int] = []

    async def project(_: AsyncConnection, recorded: Sequence[Recorded]) -> None:
        projected.extend(item.version for item in recorded)

    def evolve(state: int, event: Event) -> int:
        assert isinstance(event, Counted)
        return state + event.number

    decider: Decider[int, int] = Decider(
        initial=int,
        evolve=evolve,
        decide=lambda state, wanted: [Counted(who=WHO, number=wanted)] if state < 10 else [],
        project=project,
    )

    async def run(command: int) -> tuple[int, list[Recorded]]:
        async with engine.begin() as connection:
            return await decide(
                connection,
                decider,
                "a",
                command,
                workspace_id=None,
                metadata=Metadata(),
                now=NOW,
            )

    assert (await run(4))[0] == 4
    assert (await run(7))[0] == 11
    state, events = await run(1)
    assert (state, events) == (11, [])
    assert projected == [1, 2]


async def test_the_working_roles_cannot_change_or_remove_events(
    spine: ServiceUrls, engine_of: EngineOf
) -> None:
    await _append(engine_of(spine.worker), "a", 0)
    for url in (spine.worker, spine.app):
        for statement in ("UPDATE events SET type = 'x'", "DELETE FROM events", "TRUNCATE events"):
            with pytest.raises(Exception, match="permission denied"):
                async with engine_of(url).begin() as connection:
                    await connection.exec_driver_sql(statement)
