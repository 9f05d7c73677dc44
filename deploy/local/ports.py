"""The ports of the stack: fixed, friendly, and each changeable by one setting."""

import os
from collections.abc import Iterable, Mapping

from libs.testing.servers import ServerError, free_port
from libs.testing.servers.ports import holder, is_free

DEFAULTS = {
    "gateway": 8080,
    "simulator": 8090,
    "identity": 8101,
    "accounts": 8102,
    "ingestion": 8103,
    "analytics": 8104,
    "publishing": 8105,
    "audit": 8106,
    "postgres": 54320,
    "kafka": 19092,
}


def setting(name: str) -> str:
    """The variable that changes the port of `name`."""
    return f"ROOKERY_{name.upper()}_PORT"


def choose(env: Mapping[str, str] = os.environ) -> dict[str, int]:
    """The port of each part. `ROOKERY_PORTS=free` takes free ones, so that stacks can coexist.

    Raises ServerError for a setting that is no port.
    """
    if env.get("ROOKERY_PORTS") == "free":
        taken: set[int] = set()
        while len(taken) < len(DEFAULTS):
            taken.add(free_port())
        return dict(zip(DEFAULTS, taken, strict=True))
    chosen = {}
    for name, default in DEFAULTS.items():
        text = env.get(setting(name), str(default))
        if not (text.isdigit() and 0 < int(text) < 65536):
            raise ServerError(f"{setting(name)}={text} is not a port number (1 to 65535).")
        chosen[name] = int(text)
    return chosen


def check_free(ports: Mapping[str, int], names: Iterable[str]) -> None:
    """Raise ServerError naming each busy port, who holds it if that is known, and its setting."""
    busy = []
    for name in names:
        if not is_free(ports[name]):
            who = holder(ports[name])
            by = f", held by {who}" if who else ""
            busy.append(
                f"Port {ports[name]} ({name}) is busy{by}. Stop that process, or choose another: "
                f"{setting(name)}={ports[name] + 1000}"
            )
    if busy:
        raise ServerError("\n".join(busy))
