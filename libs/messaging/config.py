"""How to reach the broker."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BrokerConfig:
    """One installation's broker.

    `idempotence` is off only where the broker has no InitProducerId. `partitions` and
    `replication` are for topics that do not exist yet; an existing one is never changed. A reader
    that is silent for `session_timeout_ms` loses its partitions (the local broker also makes each
    group wait half of it before it starts). `prefix` stands before every topic and group, so that installations can share a cluster.
    """

    bootstrap_servers: str
    idempotence: bool = True
    partitions: int = 6
    replication: int = 1
    fetch_wait_ms: int = 500
    request_timeout_ms: int = 10_000
    session_timeout_ms: int = 10_000
    prefix: str = ""
