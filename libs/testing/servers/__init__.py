"""Real servers as child processes: PostgreSQL, Kafka-protocol brokers, Envoy.

They serve the tests and the local stack. Every call blocks; from a coroutine use
`asyncio.to_thread`. A server never outlives the process that started it, and a Ctrl-C in the
terminal does not reach it before its owner stops it.
"""

from libs.testing.servers.broker import Broker, ExistingBroker
from libs.testing.servers.embedded import EmbeddedBroker
from libs.testing.servers.envoy import EnvoyServer
from libs.testing.servers.ports import PortBusy, free_port
from libs.testing.servers.postgres import ExistingPostgres, Postgres, PostgresServer
from libs.testing.servers.process import ServerError, ServerProcess

__all__ = [
    "Broker",
    "EmbeddedBroker",
    "EnvoyServer",
    "ExistingBroker",
    "ExistingPostgres",
    "PortBusy",
    "Postgres",
    "PostgresServer",
    "ServerError",
    "ServerProcess",
    "free_port",
]
