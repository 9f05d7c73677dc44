"""`python -m deploy.local up | reset`."""

import argparse
import sys

from rich.markup import escape

from deploy.local.console import console
from deploy.local.demo import DemoError
from deploy.local.home import Home
from libs.testing.servers import ServerError


def main() -> int:
    """Run a command; 0 when it ended as asked, 1 when something failed, with the reason told."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local")
    parser.add_argument("command", choices=["up", "reset"])
    command = parser.parse_args().command
    try:
        return _up() if command == "up" else _reset()
    except (ServerError, DemoError) as error:
        console.print(f"[bold red]error:[/] {escape(str(error))}")
        return 1
    except KeyboardInterrupt:  # before there was anything to stop
        return 130


def _up() -> int:
    from deploy.local.stack import Stack
    from deploy.local.supervisor import Stopped

    home = Home.from_environment()
    try:
        with home.locked():
            Stack(home).up()
    except Stopped:
        console.print("Stopped; the data stays")
    return 0


def _reset() -> int:
    home = Home.from_environment()
    home.reset()
    console.print(f"{home.folder} is empty; the next start makes new data and secrets")
    return 0


if __name__ == "__main__":
    sys.exit(main())
