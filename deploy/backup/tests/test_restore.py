"""Load, back up, load, destroy, restore to a moment, and go on."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import errors as pg
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.backup.archive import Archive
from deploy.backup.drill import Report, drill
from deploy.backup.reconcile import open_doors, reconcile
from deploy.backup.schedule import write_manifest
from deploy.backup.settings import BackupError
from deploy.backup.tests import scene
from deploy.backup.tests.conftest import OPTIONS
from libs.chassis.provision import ServiceUrls
from libs.eventlog.relay import Relay
from libs.eventlog.restored import TopicAhead
from libs.eventlog.source import domain_source
from libs.messaging.config import BrokerConfig
from libs.projections.runner import Runner
from libs.testing.servers import Broker, PostgresServer
from libs.testing.serving import until
from libs.testing.spine import build_spine, tally
from libs.testing.topics import config_of

EngineOf = Callable[[str], AsyncEngine]


def relay_of(log: ServiceUrls, broker: BrokerConfig) -> Relay:
    return Relay(domain_source("spine"), database_url=log.worker, broker=broker)


@asynccontextmanager
async def serving(
    log: ServiceUrls,
    broker: BrokerConfig,
    engine_of: EngineOf,
    *,
    relay: bool = True,
    reader: str = "spine.tally",
) -> AsyncIterator[None]:
    """A relay and a reader, as a service runs them."""
    stop = asyncio.Event()
    runner = Runner(tally(reader), engine=engine_of(log.worker), broker=broker)
    tasks = [asyncio.create_task(runner.run(stop))]
    if relay:
        tasks.append(asyncio.create_task(relay_of(log, broker).run(stop)))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(asyncio.gather(*tasks), 30)


async def caught_up(log: ServiceUrls, other: ServiceUrls | None = None) -> None:
    """Wait until each event of the log is applied once and in order, in `other` if that is said."""
    await until(
        lambda: scene.tallied((other or log).worker) == scene.told(log.worker),
        timeout=60,
        what="the read model as the log",
    )


def said(report: Report) -> dict[str, bool | None]:
    return {check.name: check.passed for check in report.checks}


@pytest.mark.timeout(170)
async def test_a_restore_holds_what_was_before_the_moment_and_nothing_after_and_goes_on(
    folder: Path,
    live: PostgresServer,
    log: ServiceUrls,
    archive: Archive,
    fresh_broker: Broker,
    engine_of: EngineOf,
) -> None:
    broker = config_of(fresh_broker)
    writer = scene.Writer(log.worker)
    async with serving(log, broker, engine_of):
        before = writer.write(10)
        await asyncio.to_thread(write_manifest, archive)
        await asyncio.to_thread(archive.back_up)
        before |= writer.write(10)
        moment = scene.beat(live)
        after = writer.write(10)
        await caught_up(log)
        scene.beat(live)
        await scene.received(live)

    # Beside the live server: both are compared, and the broker is seen to be ahead.
    report = await asyncio.to_thread(drill, archive, to=moment, broker=broker)
    assert report.passed, report
    assert said(report)["rows and hashes as on the live server"]
    assert said(report)["no row newer than the next beat"]
    assert "spine.events by 50" in report.checks[-1].says

    live.kill()
    shutil.rmtree(live.data)
    restored = folder / "restored"
    report = await asyncio.to_thread(drill, archive, to=moment, keep=restored)
    assert report.passed, report
    assert said(report)["rows and hashes as in the manifest"]
    assert report.rpo_seconds is not None
    assert report.rpo_seconds < 10

    server = PostgresServer(restored, live.port, options=OPTIONS, password=live.password)
    server.start()
    try:
        with pytest.raises(pg.OperationalError, match="too many connections"):
            psycopg.connect(log.worker).close()
        with psycopg.connect(live.url) as connection:
            assert connection.execute("SHOW restore_command").fetchone() == ("",)
        open_doors(live.url)
        assert scene.ids(log.worker) == before
        assert not scene.ids(log.worker) & after
        # Somebody opened the doors without reconciling: the relay sees it.
        with pytest.raises(TopicAhead, match=r"deploy\.backup reconcile"):
            await asyncio.wait_for(relay_of(log, broker).run(asyncio.Event()), 30)
        assert await asyncio.to_thread(reconcile, live.url, broker) == ["spine.events"]

        writer.forget_after(log.worker)
        other = build_spine(live.url)
        async with (
            serving(log, broker, engine_of),
            serving(other, broker, engine_of, relay=False, reader="spine.rebuilt"),
        ):
            await caught_up(log)
            again = writer.write(10)
            await caught_up(log)
            await caught_up(log, other)  # a rebuild from nothing
        assert scene.ids(log.worker) == before | again

        await asyncio.to_thread(archive.begin_anew)
        again |= writer.write(2)
        scene.beat(server)
        await scene.received(server)
        report = await asyncio.to_thread(drill, archive)
        assert report.passed, report
        assert sum(table.rows for table in report.tables if table.hash) == len(before | again)
    finally:
        server.stop("immediate")


async def test_reconcile_refuses_while_a_service_is_connected(
    live: PostgresServer, log: ServiceUrls, fresh_broker: Broker
) -> None:
    scene.Writer(log.worker).write(1)
    with (
        psycopg.connect(log.worker, autocommit=True) as service,
        pytest.raises(BackupError, match="spine_worker"),
    ):
        service.execute("INSERT INTO relay_cursors (relay) VALUES ('spine')")
        await asyncio.to_thread(reconcile, live.url, config_of(fresh_broker))
