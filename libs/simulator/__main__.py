"""`python -m libs.simulator`: serves the four simulated platforms on one port."""

import argparse
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn

from libs.simulator.app import create_app
from libs.simulator.faults import AbortableProtocol
from libs.simulator.settings import SimulatorSettings


def main() -> None:
    """Runs until SIGINT or SIGTERM. Options win over SIMULATOR_* variables."""
    parser = argparse.ArgumentParser(prog="libs.simulator", description=__doc__)
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--webhook-target", help="where webhooks go, e.g. the gateway's URL")
    parser.add_argument("--drip", type=float, help="seconds between ambient webhooks, 0 for none")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--state", type=Path, help="file that keeps tokens across restarts")
    given: dict[str, Any] = {k: v for k, v in vars(parser.parse_args()).items() if v is not None}
    settings = SimulatorSettings(**given)
    # Bound here, so that port 0 can tell which port it became.
    try:
        listening = socket.create_server((settings.host, settings.port))
    except OSError as error:
        sys.exit(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}")
    host, port = listening.getsockname()[:2]
    sys.stdout.write(f"simulator listens at http://{host}:{port}\n")
    sys.stdout.flush()
    config = uvicorn.Config(
        create_app(settings), http=AbortableProtocol, access_log=False, log_level="warning"
    )
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
