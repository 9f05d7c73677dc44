"""The one-shot jobs of docker-compose.yml: `python -m deploy.compose.setup <job>`.

Each is run at every start and changes nothing that is already as it should be.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import psycopg
from aiokafka.errors import KafkaError

from deploy.gateway.render import SERVICES, Gateway, render
from deploy.topics import TOPICS
from libs.chassis.provision import ROLES, provision
from libs.messaging.config import BrokerConfig
from libs.messaging.topics import ensure_topics

_PATIENCE_SECONDS = 180.0


def databases(env: Mapping[str, str]) -> None:
    """Make each service's database and roles, with the passwords of `<SERVICE>_<ROLE>_PASSWORD`.

    Blocks, and waits for the server. Raises KeyError for a password that is not given.
    """
    url = env["POSTGRES_URL"]
    for service in SERVICES:
        passwords = {role: env[f"{service}_{role}_PASSWORD".upper()] for role in ROLES}
        _patiently(partial(provision, url, service, passwords), psycopg.OperationalError)


def topics(env: Mapping[str, str]) -> None:
    """Make the topics that are missing. Blocks, and waits for the broker."""
    broker = BrokerConfig(
        env["KAFKA_BOOTSTRAP_SERVERS"],
        partitions=int(env["KAFKA_PARTITIONS"]),
        replication=int(env["KAFKA_REPLICATION"]),
    )
    _patiently(lambda: asyncio.run(ensure_topics(broker, TOPICS)), KafkaError)


def gateway(env: Mapping[str, str], file: Path) -> None:
    """Write the gateway's configuration to `file`."""
    file.write_text(render(Gateway.from_environment(env)))


def _patiently(step: Callable[[], object], passing: type[Exception]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            step()
        except passing as error:
            if time.monotonic() > deadline:
                sys.exit(f"Given up after {_PATIENCE_SECONDS:.0f} s: {error}")
            time.sleep(1)
        else:
            return


def main() -> None:
    """Run one job."""
    parser = argparse.ArgumentParser(prog="python -m deploy.compose.setup")
    jobs = parser.add_subparsers(dest="job", required=True)
    jobs.add_parser("databases")
    jobs.add_parser("topics")
    jobs.add_parser("gateway").add_argument("file", type=Path)
    asked = parser.parse_args()
    if asked.job == "databases":
        databases(os.environ)
    elif asked.job == "topics":
        topics(os.environ)
    else:
        gateway(os.environ, asked.file)


if __name__ == "__main__":
    main()
