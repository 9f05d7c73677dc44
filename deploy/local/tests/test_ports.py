"""Which ports the stack takes."""

import os
import socket

import pytest

from deploy.local.ports import DEFAULTS, check_free, choose
from libs.testing.servers import ServerError, free_port


def test_each_port_has_a_setting() -> None:
    chosen = choose({"ROOKERY_GATEWAY_PORT": "9999"})
    assert chosen == {**DEFAULTS, "gateway": 9999}


def test_free_ports_can_be_asked_for() -> None:
    chosen = choose({"ROOKERY_PORTS": "free"})
    assert set(chosen) == set(DEFAULTS)
    assert len(set(chosen.values())) == len(DEFAULTS)
    check_free(chosen, chosen)


@pytest.mark.parametrize("value", ["", "eighty", "0", "70000", "-1"])
def test_what_is_no_port_is_refused_by_its_name(value: str) -> None:
    with pytest.raises(ServerError, match=f"ROOKERY_KAFKA_PORT={value} is not a port"):
        choose({"ROOKERY_KAFKA_PORT": value})


def test_every_busy_port_is_named_with_its_holder_and_its_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("", 0)) as two:
        ports = {
            "gateway": one.getsockname()[1],
            "audit": two.getsockname()[1],
            "kafka": free_port(),
        }
        with pytest.raises(ServerError) as caught:
            check_free(ports, ports)
    text = str(caught.value)
    assert f"Port {ports['gateway']} (gateway) is busy" in text
    assert f"(pid {os.getpid()})" in text
    assert "ROOKERY_GATEWAY_PORT=" in text
    assert "ROOKERY_AUDIT_PORT=" in text
    assert "kafka" not in text
