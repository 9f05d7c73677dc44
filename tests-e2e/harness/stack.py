"""A stack as its users see it: the gateway and the simulator.

ROOKERY_E2E_TARGET says what kind: processes of this machine (`local`, the default) or containers
(`compose`). Each run has a stack of its own, unless ROOKERY_LOCAL_JSON or ROOKERY_E2E_ENV_FILE
names one that runs.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from deploy.compose import secret_file
from deploy.compose.engine import Engine
from deploy.local.demo import EMAIL, WORKSPACE
from harness.inside import ComposeInside, Inside, LocalInside
from libs.testing.servers import free_port

ROOT = Path(__file__).parents[2]
TARGET = os.environ.get("ROOKERY_E2E_TARGET") or "local"
READY_SECONDS = 120
COMPOSE_READY_SECONDS = 1800  # images are built, and a machine may be busy
PLATFORMS = ("instagram", "tiktok", "linkedin", "x")


@dataclass(frozen=True)
class Stack:
    """A stack that runs; `local` is what `local.json` says of one on this machine."""

    local: dict[str, Any]
    inside: Inside
    clients: ExitStack

    @property
    def gateway(self) -> str:
        return str(self.local["gateway"])

    def control(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask the simulator's control API; gives its JSON."""
        url = f"{self.local['simulator']}/_control/{path}"
        answer = httpx.get(url) if body is None else httpx.post(url, json=body, timeout=60)
        assert answer.is_success, answer.text
        return answer.json()

    def person(self, name: str = "ana") -> Person:
        """Somebody new, registered and signed in."""
        email, password = f"{name}-{uuid4().hex[:8]}@example.com", f"canary-{uuid4().hex}"
        http = self._client()
        credentials = {"email": email, "password": password}
        answer = http.post("/v1/auth/register", json=credentials)
        assert answer.status_code == 201, answer.text
        user_id = answer.json()["user_id"]
        return Person(http, email, password, user_id).sign_in()

    def demo(self) -> Person:
        """The demo's person, signed in."""
        http = self._client()
        demo = self.local["demo"]
        return Person(http, demo["email"], demo["password"], "").sign_in()

    def _client(self) -> httpx.Client:
        client = httpx.Client(base_url=self.gateway, timeout=30, headers={"user-agent": "e2e/1"})
        return self.clients.enter_context(client)

    def connect(self, person: Person, workspace: str, platform: str) -> dict[str, Any]:
        """Connect a new simulated account by the browser's way; gives it as the API lists it."""
        handle = f"{platform}_{uuid4().hex[:8]}"
        self.control("people", {"platform": platform, "handle": handle, "followers": 5_000})
        self.control("consent", {"mode": "allow", "as": handle, "platform": platform})
        base = f"/v1/workspaces/{workspace}/accounts"
        answer = until(
            lambda: person.http.post(f"{base}/{platform}/connect", json={}),
            lambda answer: answer.status_code != 404,  # accounts has heard of the workspace
        )
        assert answer.is_success, answer.text
        done = httpx.get(answer.json()["authorize_url"], follow_redirects=True, timeout=30)
        self.control("consent", {"mode": "page", "platform": platform})
        assert done.is_success, done.text
        account_id = done.json()["account_id"]
        listed = person.get(base)["items"]
        [account] = [item for item in listed if item["id"] == account_id]
        return {**account, "simulated": handle}


@dataclass(frozen=True)
class Person:
    """A signed-in caller of the gateway."""

    http: httpx.Client
    email: str
    password: str
    user_id: str

    def sign_in(self) -> Person:
        credentials = {"email": self.email, "password": self.password}
        answer = self.http.post("/v1/auth/login", json=credentials)
        assert answer.is_success, answer.text
        self.http.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
        return self

    def get(self, path: str, **query: Any) -> Any:
        """The JSON of a request that must succeed."""
        answer = self.http.get(path, params=query)
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    def pages(self, path: str, **query: Any) -> list[Any]:
        """All items of a listing, page by page."""
        items: list[Any] = []
        cursor: str | None = None
        while True:
            page = self.get(path, **query, **({"cursor": cursor} if cursor else {}))
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return items

    def workspace(self, name: str = "Birds") -> str:
        """A new workspace of this person."""
        answer = self.http.post("/v1/workspaces", json={"name": name})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])


def until(ask: Any, enough: Any = bool, *, timeout: float = 30, what: str = "it") -> Any:
    """Ask until the answer is enough, and give it. Raises AssertionError after `timeout` s."""
    deadline = time.monotonic() + timeout
    while True:
        answer = ask()
        if enough(answer):
            return answer
        assert time.monotonic() < deadline, f"{what} did not come true: {str(answer)[:500]}"
        time.sleep(0.1)


@contextmanager
def running_stack() -> Iterator[Stack]:
    """A stack of the run's own, or one that runs; see above."""
    with _composed() if TARGET == "compose" else _local() as stack:
        yield stack


@contextmanager
def _local() -> Iterator[Stack]:
    if existing := os.environ.get("ROOKERY_LOCAL_JSON"):
        with ExitStack() as clients:
            yield _of_local_json(Path(existing), clients)
        return
    # Not below pytest's folder, which is closed to the user PostgreSQL runs as under root.
    folder = Path(tempfile.mkdtemp(prefix="rookery-e2e-"))
    home = folder / "home"
    env = {
        **os.environ,
        "ROOKERY_HOME": str(home),
        "ROOKERY_PORTS": "free",
        "ROOKERY_DRIP_SECONDS": "0",
    }
    output = folder / "output.txt"
    with output.open("w") as file:
        stack = subprocess.Popen(
            [sys.executable, "-m", "deploy.local", "up"],
            cwd=ROOT,
            env=env,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            local = home / "local.json"
            deadline = time.monotonic() + READY_SECONDS
            while not local.exists():
                said = output.read_text()
                assert stack.poll() is None, f"the stack ended:\n{said}"
                assert time.monotonic() < deadline, f"the stack is not ready:\n{said}"
                time.sleep(0.2)
            with ExitStack() as clients:
                yield _of_local_json(local, clients)
        finally:
            stack.send_signal(signal.SIGINT)
            stack.wait(60)
            shutil.rmtree(folder, ignore_errors=True)


def _of_local_json(path: Path, clients: ExitStack) -> Stack:
    local = json.loads(path.read_text())
    inside = LocalInside(path.parent, local["database"], local["kafka"])
    return Stack(local, inside, clients)


@contextmanager
def _composed() -> Iterator[Stack]:
    if existing := os.environ.get("ROOKERY_E2E_ENV_FILE"):
        project = os.environ.get("COMPOSE_PROJECT_NAME", "rookery")
        with ExitStack() as clients:
            yield _of_env_file(Path(existing), project, clients)
        return
    with tempfile.TemporaryDirectory(prefix="rookery-e2e-") as folder:
        env_file = Path(folder) / ".env"
        project = f"rookery-e2e-{uuid4().hex[:8]}"
        gateway, simulator = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        given = {
            **secret_file.simulated({}),
            "GATEWAY_ADDRESS": gateway,
            "ROOKERY_PUBLIC_URL": f"http://{gateway}",
            "SIMULATOR_ADDRESS": simulator,
            "ROOKERY_SIMULATOR_PUBLIC_URL": f"http://{simulator}",
            "SIMULATOR_DRIP": "0",
        }
        secret_file.fill(env_file, ROOT / ".env.example", given)
        try:
            compose(env_file, project, "up")
            with ExitStack() as clients:
                yield _of_env_file(env_file, project, clients)
        finally:
            compose(env_file, project, "down", "--volumes")


def compose(env_file: Path, project: str, *words: str) -> None:
    """One of the commands behind `make up` and its like. Raises CalledProcessError."""
    argv = [sys.executable, "-m", "deploy.compose"]
    options = [f"--env-file={env_file}", f"--project={project}"]
    subprocess.run([*argv, *options, *words], cwd=ROOT, check=True, timeout=COMPOSE_READY_SECONDS)


def _of_env_file(env_file: Path, project: str, clients: ExitStack) -> Stack:
    env = secret_file.read(env_file)
    local: dict[str, Any] = {
        "gateway": env["ROOKERY_PUBLIC_URL"],
        "simulator": env["ROOKERY_SIMULATOR_PUBLIC_URL"],
        "services": ["identity", "accounts", "ingestion", "analytics", "audit"],
        "demo": {"email": EMAIL, "password": env["DEMO_PASSWORD"]},
        "webhook_secrets": {
            name: env[f"INGESTION_{name.upper()}_WEBHOOK_SECRETS"] for name in PLATFORMS
        },
    }
    stack = Stack(local, ComposeInside(Engine(project, env_file)), clients)
    [demo] = [
        one for one in stack.demo().get("/v1/workspaces")["items"] if one["name"] == WORKSPACE
    ]
    local["demo"]["workspace_id"] = demo["id"]
    return stack
