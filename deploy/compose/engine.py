"""Docker or Podman, whichever is here, and how the containers of a project are doing."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_LABELS = ("com.docker.compose", "io.podman.compose")


class EngineError(Exception):
    """There is no engine, or it refused; the text says what to do about it."""


@dataclass(frozen=True)
class Container:
    """One container as the engine describes it. `health` is empty where nothing is checked."""

    id: str
    service: str
    state: str
    exit_code: int
    health: str
    is_job: bool

    @property
    def finished(self) -> bool:
        """A job that has done its work."""
        return self.is_job and self.state == "exited" and self.exit_code == 0

    @property
    def failed(self) -> bool:
        """A job that ended badly. A service is started again by the engine."""
        return self.is_job and self.state in {"exited", "stopped", "dead"} and self.exit_code != 0


class Engine:
    """The engine of this machine and one project on it. All calls block."""

    def __init__(self, project: str, env_file: Path) -> None:
        """Find the engine. Raises EngineError when there is none that can compose."""
        self.project = project
        self.env_file = env_file
        self.program, self._compose = _find()

    def compose(self, *words: str, quiet: bool = False) -> None:
        """Run one Compose command, its output going to ours unless `quiet`.

        Raises EngineError when it fails.
        """
        done = subprocess.run(
            self._command(words),
            cwd=ROOT,
            stdout=subprocess.PIPE if quiet else None,
            stderr=subprocess.STDOUT if quiet else None,
            text=True,
            check=False,
        )
        if done.returncode:
            said = f":\n{done.stdout[-4000:]}" if quiet else ""
            raise EngineError(f"`{' '.join([*self._compose, *words])}` failed{said}")

    def build(self) -> None:
        """Build the images. Raises EngineError."""
        # Podman builds each image by itself: one after the other they share what is the same.
        one_by_one = ["--parallel=1"] if self.program == "podman" else []
        self.compose(*one_by_one, "build")

    def containers(self) -> list[Container]:
        """Every container of the project, also those that have ended."""
        ids: set[str] = set()
        for label in _LABELS:
            found = self.run(
                "ps", "--all", "--quiet", f"--filter=label={label}.project={self.project}"
            )
            ids.update(found.split())
        if not ids:
            return []
        described = json.loads(self.run("inspect", *sorted(ids)))
        return sorted((_container(one) for one in described), key=lambda one: one.service)

    def check(self, container: Container) -> str:
        """The container's health, asked for now where the engine needs systemd to ask by itself."""
        if self.program == "docker" or container.health in {"", "healthy"}:
            return container.health
        done = subprocess.run(
            [self.program, "healthcheck", "run", container.id], capture_output=True, check=False
        )
        return "healthy" if done.returncode == 0 else "starting"

    def run(self, *words: str) -> str:
        """What the engine's own command prints. Raises EngineError when it fails."""
        done = subprocess.run(
            [self.program, *words], capture_output=True, text=True, check=False, cwd=ROOT
        )
        if done.returncode:
            raise EngineError(f"`{self.program} {words[0]}` failed:\n{done.stderr.strip()}")
        return done.stdout

    def logs(self, container: Container, lines: int) -> str:
        """The last lines that a container wrote, both of its streams."""
        done = subprocess.run(
            [self.program, "logs", f"--tail={lines}", container.id],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.stdout

    def _command(self, words: Sequence[str]) -> list[str]:
        return [
            *self._compose,
            *("--project-name", self.project, "--env-file", str(self.env_file)),
            *("--file", str(ROOT / "docker-compose.yml"), *words),
        ]


def _find() -> tuple[str, list[str]]:
    if shutil.which("docker") and _works("docker", "compose", "version"):
        return "docker", ["docker", "compose"]
    if shutil.which("podman"):
        if _works("podman", "compose", "version"):
            return "podman", ["podman", "compose"]
        if shutil.which("podman-compose"):
            return "podman", ["podman-compose"]
        raise EngineError(
            "Podman is here, but nothing that reads docker-compose.yml. Install podman-compose."
        )
    raise EngineError(
        "Neither Docker nor Podman was found. Install Docker with its Compose plugin, or Podman "
        "with podman-compose. (`make run` starts Rookery without containers.)"
    )


def _works(*argv: str) -> bool:
    done = subprocess.run(argv, capture_output=True, check=False)
    return done.returncode == 0


def _container(described: dict[str, Any]) -> Container:
    labels = described["Config"]["Labels"]
    state = described["State"]
    service = next(labels[f"{label}.service"] for label in _LABELS if f"{label}.service" in labels)
    health = state.get("Health") or {}
    checked = described["Config"].get("Healthcheck")
    return Container(
        id=described["Id"],
        service=service,
        state=state["Status"],
        exit_code=state["ExitCode"],
        health=(health.get("Status") or "starting") if checked else "",
        is_job=described["HostConfig"]["RestartPolicy"]["Name"] in {"", "no"},
    )
