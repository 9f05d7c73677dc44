"""Whoever closes a client of the library goes on, whatever the client does."""

import asyncio

import pytest

from libs.messaging.closing import close


async def cancelled_by_its_own_task() -> None:
    own = asyncio.create_task(asyncio.sleep(60))
    own.cancel()
    await own


async def failing() -> None:
    raise OSError("the broker is gone")


@pytest.mark.parametrize("closing", [cancelled_by_its_own_task, failing])
async def test_a_client_that_fails_to_close_does_not_end_its_owner(closing: type) -> None:
    await close(closing(), 5)


async def test_a_client_that_never_closes_is_left() -> None:
    started, left = asyncio.Event(), asyncio.Event()

    async def hanging() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    await close(hanging(), 0.01)
    assert started.is_set()
    await asyncio.wait_for(left.wait(), 5)


async def test_an_owner_that_is_cancelled_while_closing_is_cancelled() -> None:
    started = asyncio.Event()

    async def hanging() -> None:
        started.set()
        await asyncio.Event().wait()

    owner = asyncio.create_task(close(hanging(), 60))
    await started.wait()
    owner.cancel()
    with pytest.raises(asyncio.CancelledError):
        await owner
