"""A process ends when one of its parts does: it must not live on without it."""

import asyncio

import pytest

from libs.chassis.entry import _part


async def ending(_: asyncio.Event) -> None:
    return


async def cancelled_by_its_own_task(_: asyncio.Event) -> None:
    own = asyncio.create_task(asyncio.sleep(60))
    own.cancel()
    await own


@pytest.mark.parametrize("part", [ending, cancelled_by_its_own_task])
async def test_a_part_that_ends_by_itself_is_a_failure(part: type) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="reader ended by itself")):
        async with asyncio.TaskGroup() as group:
            group.create_task(_part("reader", part, asyncio.Event()))


async def test_a_part_that_is_told_to_stop_may_end() -> None:
    stop = asyncio.Event()
    stop.set()
    await _part("reader", ending, stop)


async def test_a_part_is_cancelled_with_its_group() -> None:
    started = asyncio.Event()

    async def going_on(_: asyncio.Event) -> None:
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(_part("reader", going_on, asyncio.Event()))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
