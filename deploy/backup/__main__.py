"""`python -m deploy.backup prepare | run | backup | list | drill | restore | reconcile | resume`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from aiokafka.errors import KafkaError

from deploy.backup import reconcile, report
from deploy.backup.archive import Archive
from deploy.backup.drill import drill
from deploy.backup.restore import scratch_folder
from deploy.backup.schedule import Schedule, serve, write_manifest
from deploy.backup.settings import ROOT, BackupError, BackupSettings
from libs.messaging.config import BrokerConfig


def main() -> int:
    """Run a command; 0 when it came out well, 1 with the reason when it did not."""
    arguments = _parser().parse_args()
    settings = BackupSettings()
    try:
        return int(arguments.command(settings, arguments) or 0)
    except (BackupError, KafkaError, psycopg.OperationalError) as error:
        print(f"error: {str(error) or type(error).__name__}", file=sys.stderr)
        return 1


def _prepare(settings: BackupSettings, arguments: argparse.Namespace) -> None:
    Archive(settings).prepare(_server(arguments))


def _run(settings: BackupSettings, arguments: argparse.Namespace) -> None:
    archive = _prepared(settings)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    serve(settings)
    Schedule(archive, settings).run(stop)


def _backup(settings: BackupSettings, arguments: argparse.Namespace) -> None:
    archive = _prepared(settings)
    write_manifest(archive)
    archive.start_receiving()
    archive.back_up()


def _list(settings: BackupSettings, arguments: argparse.Namespace) -> None:
    for backup in _prepared(settings).backups():
        what = "full backup alone" if backup.standalone else "and any moment since"
        print(f"{backup.id}  {backup.status}  ended {backup.end:%Y-%m-%d %H:%M:%S}Z  {what}")


def _drill(settings: BackupSettings, arguments: argparse.Namespace) -> int:
    archive = Archive(settings)
    if archive.prepared:
        return _tell(archive, settings, arguments)
    print(
        f"There is no archive in {settings.home}: making one for this drill, of the server that"
        " runs now."
    )
    server = _server(arguments)
    with scratch_folder() as scratch:
        archive = Archive(settings.model_copy(update={"home": scratch / "archive"}))
        archive.prepare(server)
        try:
            write_manifest(archive)
            archive.start_receiving()
            archive.back_up()
            return _tell(archive, settings, arguments)
        finally:
            archive.forget_server()


def _restore(settings: BackupSettings, arguments: argparse.Namespace) -> int:
    if arguments.into.exists():
        raise BackupError(f"{arguments.into} exists already; name a new folder.")
    return _tell(_prepared(settings), settings, arguments, keep=arguments.into.absolute())


def _tell(
    archive: Archive,
    settings: BackupSettings,
    arguments: argparse.Namespace,
    *,
    keep: Path | None = None,
) -> int:
    found = drill(
        archive,
        to=arguments.to,
        backup_id=arguments.backup,
        broker=settings.broker or _local_broker(settings),
        keep=keep,
    )
    if arguments.json:
        found.write(arguments.json)
    report.show(found)
    if keep is not None and found.passed:
        print(f"\nRestored into {keep}. Its databases let no service in until `reconcile`.")
    return 0 if found.passed else 1


def _reconcile(settings: BackupSettings, arguments: argparse.Namespace) -> None:
    broker = settings.broker or _local_broker(settings)
    if broker is None:
        raise BackupError("Name the broker in KAFKA_BOOTSTRAP_SERVERS.")
    topics = reconcile.reconcile(_server(arguments), broker)
    print(f"Made anew: {', '.join(topics)}. Start the services: their relays feed the topics.")


def _resume(settings: BackupSettings, arguments: argparse.Namespace) -> None:
    archive = _prepared(settings)
    archive.begin_anew()
    print("The restored server is backed up.")


def _prepared(settings: BackupSettings) -> Archive:
    archive = Archive(settings)
    if not archive.prepared:
        raise BackupError(f"There is no archive in {settings.home}: run `prepare` first.")
    return archive


def _server(arguments: argparse.Namespace) -> str:
    """The superuser's URL: --server, BACKUP_SERVER_URL, or that of the local stack."""
    url = arguments.server or os.environ.get("BACKUP_SERVER_URL") or _local().get("database")
    if not url:
        raise BackupError("Name the server: --server, BACKUP_SERVER_URL, or start `make run`.")
    return str(url)


def _local() -> dict[str, str]:
    """What the local stack says of itself while it runs."""
    status = Path(os.environ.get("ROOKERY_HOME") or ROOT / ".rookery") / "local.json"
    found: dict[str, str] = json.loads(status.read_text()) if status.exists() else {}
    return found


def _local_broker(settings: BackupSettings) -> BrokerConfig | None:
    bootstrap = _local().get("kafka")
    if bootstrap is None:
        return None
    return settings.model_copy(update={"kafka_bootstrap_servers": bootstrap}).broker


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.backup")
    commands = parser.add_subparsers(required=True)

    def add(name: str, command: object, text: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text, description=text)
        one.set_defaults(command=command)
        one.add_argument("--server", help="postgresql:// URL of a superuser")
        return one

    add("prepare", _prepare, "make the backup role on the server, and the archive's configuration")
    add("run", _run, "receive the log, back up each day, check, serve metrics")
    add("backup", _backup, "take a full backup now")
    add("list", _list, "show the full backups")
    for name, command, text in (
        ("drill", _drill, "restore on the side, check, measure, throw away"),
        ("restore", _restore, "restore into a folder, check, and leave it there to be started"),
    ):
        one = add(name, command, text)
        one.add_argument("--to", type=_moment, help="the moment, ISO 8601; UTC unless it says")
        one.add_argument("--backup", help="begin with this backup")
        one.add_argument("--json", type=Path, help="write the report there, too")
        if name == "restore":
            one.add_argument("--into", type=Path, required=True, help="a folder to be made")
    add("reconcile", _reconcile, "after a restore: make the topics anew, let the services in")
    add("resume", _resume, "after a restore: receive the new history, take a backup of it")
    return parser


if __name__ == "__main__":
    sys.exit(main())
