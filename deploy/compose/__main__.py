"""`python -m deploy.compose secrets|up|down|logs`: needs nothing but Python and an engine."""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from deploy.compose import secret_file
from deploy.compose.engine import ROOT, Engine, EngineError
from deploy.compose.progress import wait_ready


def main() -> None:
    """Run one command; exits 1 with the reason when it cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m deploy.compose")
    parser.add_argument("--env-file", type=Path, default=ROOT / ".env")
    parser.add_argument("--project", default=os.environ.get("COMPOSE_PROJECT_NAME", "rookery"))
    commands = parser.add_subparsers(dest="command", required=True)
    made = commands.add_parser("secrets", help="write what is missing into the file of settings")
    made.add_argument(
        "--simulator", action="store_true", help="with simulated platforms and a demo"
    )
    up = commands.add_parser("up", help="build, start, and wait until all is healthy")
    up.add_argument("--no-build", action="store_true")
    down = commands.add_parser("down", help="stop and remove the containers; the data stays")
    down.add_argument("--volumes", action="store_true", help="remove the data, too")
    commands.add_parser("logs", help="follow what the containers say")
    asked = parser.parse_args()
    try:
        if asked.command == "secrets":
            _secrets(asked.env_file, simulator=asked.simulator)
            return
        engine = Engine(asked.project, asked.env_file)
        settings = _settings(asked.env_file)
        if asked.command == "up":
            _up(engine, settings, build=not asked.no_build)
        elif asked.command == "down":
            # Compose leaves the containers of a profile alone unless it is named.
            engine.compose("down", "--timeout=30", *(["--volumes"] if asked.volumes else []))
        else:
            engine.compose("logs", "--follow", "--tail=100")
    except EngineError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def _secrets(file: Path, *, simulator: bool) -> None:
    given = secret_file.simulated(secret_file.read(file)) if simulator else {}
    made = secret_file.fill(file, ROOT / ".env.example", given)
    what = f"{len(made)} values were made" if made else "nothing was missing"
    print(f"{file}: {what}. Keep a copy where your backups are: without it they cannot be read.")


def _settings(file: Path) -> Mapping[str, str]:
    if not file.exists():
        raise EngineError(f"There is no {file.name}: run `make secrets` first.")
    # As Compose has it, the environment wins over the file.
    settings = {**secret_file.read(file), **os.environ}
    missing = [name for name in secret_file.REQUIRED if not settings.get(name)]
    if missing:
        raise EngineError(f"{file.name} has no value for {', '.join(missing)}: run `make secrets`.")
    return settings


def _up(engine: Engine, settings: Mapping[str, str], *, build: bool) -> None:
    if build:
        print("Building the images")
        engine.build()
    print("Starting the containers")
    engine.compose("up", "--detach", "--no-build")
    wait_ready(engine)
    gateway = settings.get("ROOKERY_PUBLIC_URL") or "http://127.0.0.1:8080"
    lines = {"Gateway": gateway}
    if "simulator" in settings.get("COMPOSE_PROFILES", "").split(","):
        lines["Simulator"] = settings.get("ROOKERY_SIMULATOR_PUBLIC_URL", "")
        lines["Demo login"] = f"demo@rookery.example  {settings.get('DEMO_PASSWORD', '')}"
        lines["Operator"] = (
            f"operator@rookery.example  {settings.get('DEMO_OPERATOR_PASSWORD', '')}"
        )
    print("\nRookery is ready. `make logs` follows it, `make down` stops it; the data stays.\n")
    for name, value in lines.items():
        print(f"  {name:<12} {value}")


if __name__ == "__main__":
    main()
