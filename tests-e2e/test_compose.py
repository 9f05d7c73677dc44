"""What containers promise beyond the journeys: nothing but the gateway is open, nothing can be
written, what dies comes back, and data outlives the containers."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from deploy.compose.engine import EngineError
from deploy.gateway.render import SERVICES
from harness.inside import ComposeInside
from harness.stack import TARGET, Person, Stack, compose, running_stack, until

pytestmark = pytest.mark.skipif(
    TARGET != "compose", reason="about containers only: make e2e TARGET=compose"
)
OURS = (*SERVICES, "simulator")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running_stack() as stack:
        yield stack


@pytest.fixture(scope="module")
def inside(stack: Stack) -> ComposeInside:
    assert isinstance(stack.inside, ComposeInside)
    return stack.inside


def _described(inside: ComposeInside, service: str) -> dict[str, Any]:
    [found] = json.loads(inside.engine.run("inspect", inside.container(service).id))
    return dict(found)


@pytest.mark.parametrize("service", OURS)
def test_a_service_is_nobody_and_can_write_nothing(inside: ComposeInside, service: str) -> None:
    assert inside.execute(service, "id", "-u").strip() == "10001"
    for place in ("/app/x", "/opt/venv/x", "/etc/x"):
        with pytest.raises(EngineError, match="Read-only file system"):
            inside.execute(service, "touch", place)
    inside.execute(service, "touch", "/tmp/x")
    status = inside.execute(service, "cat", "/proc/self/status")
    facts = dict(line.split(":\t", 1) for line in status.splitlines())
    assert int(facts["CapEff"], 16) == int(facts["CapBnd"], 16) == 0
    assert facts["NoNewPrivs"] == "1"


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_holds_its_own_service_only(inside: ComposeInside, service: str) -> None:
    present = set(inside.execute(service, "ls", "/app/services").split())
    assert present - {"__init__.py", "__pycache__"} == {service}
    libs = set(inside.execute(service, "ls", "/app/libs").split())
    assert {"chassis", "contracts"} <= libs
    assert not {"testing", "simulator"} & libs


def test_only_the_gateway_and_the_simulator_are_published(inside: ComposeInside) -> None:
    published = {}
    for one in inside.engine.containers():
        ports = _described(inside, one.service)["HostConfig"]["PortBindings"] or {}
        if addresses := {each["HostIp"] for bound in ports.values() for each in bound or ()}:
            published[one.service] = addresses
    assert published == {"gateway": {"127.0.0.1"}, "simulator": {"127.0.0.1"}}


def test_the_inner_network_has_no_way_out(inside: ComposeInside) -> None:
    # Any address that is not ours: nothing is sent, for there is no route to it.
    script = (
        "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('192.0.2.1', 9))"
    )
    inside.execute("ingestion", "python", "-c", script)
    for service in ("analytics", "audit", "identity"):
        with pytest.raises(EngineError, match="Network is unreachable"):
            inside.execute(service, "python", "-c", script)


@pytest.mark.parametrize("service", ["ingestion", "analytics", "postgres", "kafka", "gateway"])
def test_what_dies_comes_back(stack: Stack, inside: ComposeInside, service: str) -> None:
    before = _described(inside, service)
    # Every process of the container but the init that is process 1. Root has no right to do that.
    user = ["--user=postgres"] if service == "postgres" else []
    inside.engine.run("exec", *user, before["Id"], "sh", "-c", "kill -9 -1 || true")
    until(
        lambda: _described(inside, service)["State"]["StartedAt"] != before["State"]["StartedAt"],
        timeout=120,
        what=f"the restart of {service}",
    )
    until(
        lambda: inside.engine.check(inside.container(service)) == "healthy",
        timeout=180,
        what=f"the health of {service}",
    )
    _see_one_webhook_through(stack)


def test_data_outlives_the_containers(stack: Stack, inside: ComposeInside) -> None:
    before = _ids(stack)
    engine = inside.engine
    compose(engine.env_file, engine.project, "down")
    with socket.socket() as probe:
        address = httpx.URL(stack.gateway)
        assert probe.connect_ex((address.host, address.port or 80)) != 0
    compose(engine.env_file, engine.project, "up", "--no-build")
    assert before <= _ids(stack)
    _see_one_webhook_through(stack)


def _ids(stack: Stack) -> set[str]:
    base = f"/v1/workspaces/{stack.local['demo']['workspace_id']}"
    return {event["id"] for event in _got(stack.demo(), f"{base}/events?limit=100")["items"]}


def _got(person: Person, path: str) -> Any:
    """The JSON of a request that may be asked again: a service that lost its database says 503."""
    answer = until(
        lambda: person.http.get(path),
        lambda answer: answer.status_code != 503,
        timeout=60,
        what=path,
    )
    assert answer.is_success, answer.text
    return answer.json()


def _see_one_webhook_through(stack: Stack) -> None:
    """From the simulated platform into the demo's log and its chart of changes."""
    base = f"/v1/workspaces/{stack.local['demo']['workspace_id']}"
    demo = until(lambda: _signed_in(stack), timeout=120, what="signing in")
    accounts = _got(demo, f"{base}/accounts")["items"]
    [account] = [one for one in accounts if one["platform"] == "x"]
    asked = {"platform": "x", "handles": [account["handle"]], "event": "follow.follow", "count": 1}
    [webhook] = stack.control("generate", asked)
    until(
        lambda: (
            httpx.post(
                stack.gateway + webhook["path"],
                content=webhook["body"],
                headers=webhook["headers"],
                timeout=30,
            ).is_success
        ),
        timeout=120,
        what="the webhook",
    )
    name = json.loads(webhook["body"])["data"]["payload"]["source"]["data"]["username"]
    changes = f"{base}/accounts/{account['id']}/follower-changes"

    def seen() -> bool:
        answer = demo.http.get(changes, params={"limit": 50})
        return answer.is_success and name in {one["username"] for one in answer.json()["items"]}

    until(seen, timeout=120, what="the new follower")


def _signed_in(stack: Stack) -> Any:
    try:
        return stack.demo()
    except (AssertionError, httpx.TransportError):
        return None
