"""`python -m benchmarks [part …]`: measure, print the table, write the JSON."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import time
from pathlib import Path

import uvloop
from rich.console import Console

from benchmarks.figures import LATEST, Figure, save, show
from benchmarks.servers import broker_kind

# Each is a module `benchmarks.<name>` with `async def measure(rounds, say) -> list[Figure]`.
PARTS = ("append", "relay", "projection", "latency", "growth", "stack", "peers")


def main() -> None:
    """Exit 0 whatever the figures are; a part that fails ends the run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("parts", nargs="*", help=f"of: {', '.join(PARTS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median is taken")
    parser.add_argument("--json", type=Path, default=LATEST, help="where the JSON goes")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    console = Console(width=max(140, Console().width))
    figures: list[Figure] = []
    for name in options.parts or PARTS:
        started = time.monotonic()
        console.print(f"[bold]{name}[/]")
        part = importlib.import_module(f"benchmarks.{name}")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            found = runner.run(
                part.measure(options.rounds, lambda text: console.print(f"  {text}"))
            )
        figures += found
        about = {
            "rounds": options.rounds,
            "broker": broker_kind(),
        }
        save(found, options.json, about)
        console.print(f"  done in {time.monotonic() - started:.0f} s")
    show(figures, console)
    console.print(f"\nAll rounds are in {os.path.relpath(options.json)}")


if __name__ == "__main__":
    main()
