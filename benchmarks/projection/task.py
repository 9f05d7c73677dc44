"""What one round's process is asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Way = Literal["runner", "unnest", "copy"]


@dataclass(frozen=True)
class Task:
    """One way of one case. `database` is a worker's URL, `broker` the fields of a BrokerConfig,
    `servers` process ids by name, whose processor time is counted.
    """

    case: str
    way: Way
    events: int
    database: str
    broker: Mapping[str, Any]
    servers: Mapping[str, int]
