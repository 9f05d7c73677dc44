"""The demo workspace of the profile `simulator`: `python -m deploy.compose.seed`, safe to repeat."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.local import demo

_GATEWAY, _SIMULATOR = "http://gateway:8080", "http://simulator:8000"
_DONE = Path("/var/lib/rookery")


def visit(env: Mapping[str, str]) -> demo.Visit:
    """Where the demo finds everything inside. Raises KeyError for a variable that is missing."""
    secrets = {
        "demo": env["DEMO_PASSWORD"],
        "operator": env["DEMO_OPERATOR_PASSWORD"],
        "service": env["ROOKERY_SERVICE_SECRET"],
    }
    # Where browsers go, and where the same is found from here.
    inside = {env["ROOKERY_PUBLIC_URL"]: _GATEWAY, env["ROOKERY_SIMULATOR_PUBLIC_URL"]: _SIMULATOR}

    def reach(url: str) -> str:
        for outer, inner in inside.items():
            if url.startswith(outer):
                return inner + url.removeprefix(outer)
        return url

    return demo.Visit(
        gateway=_GATEWAY,
        simulator=_SIMULATOR,
        services={name: f"http://{name}:8000" for name in ("identity", "accounts", "ingestion")},
        secret=lambda name, *_: secrets[name],
        check=lambda: None,
        done=lambda what: (_DONE / what).exists(),
        mark_done=lambda what: (_DONE / what).touch(),
        say=lambda text: print(text, flush=True),
        reach=reach,
    )


if __name__ == "__main__":
    try:
        demo.seed(visit(os.environ))
    except demo.DemoError as error:
        sys.exit(str(error))
