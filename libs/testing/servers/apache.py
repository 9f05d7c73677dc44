"""Apache Kafka by whatever can run it here: Java, or Docker."""

import shutil
from pathlib import Path

from libs.testing.servers import kafka_dist
from libs.testing.servers.broker import Broker
from libs.testing.servers.cluster import ApacheCluster
from libs.testing.servers.process import ServerError


def apache_broker(data: Path) -> Broker:
    """A single node with its files under `data`: with Java where it can be, else in Docker.

    Fetches nothing. Raises ServerError saying what to install when neither can be.
    """
    if kafka_dist.jars() is not None and shutil.which("java"):
        return ApacheCluster(data, size=1)
    from libs.testing.servers.docker import DockerBroker, docker_runs  # slow to import

    if docker_runs():
        return DockerBroker()
    raise ServerError(
        "No Apache Kafka to run. Install Java 17 and Maven and run "
        "`make test-kafka`, or start Docker."
    )


def apache_cluster(data: Path) -> ApacheCluster:
    """Three nodes with their files under `data`.

    Fetches nothing. Raises ServerError saying what to install when Java or the jar files lack.
    """
    if kafka_dist.jars() is not None and shutil.which("java"):
        return ApacheCluster(data)
    raise ServerError(
        "No Apache Kafka cluster to run. Install Java 17 and Maven and run "
        "`make test-kafka BROKER=cluster`."
    )
