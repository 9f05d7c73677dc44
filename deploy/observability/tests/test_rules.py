"""Prometheus' own tool on what Prometheus will read."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.local.home import ROOT
from deploy.observability.tests.inventory import OBSERVABILITY, RULE_TESTS, RULES, alerts

by_name = pytest.mark.parametrize("path", [*RULES], ids=lambda path: path.stem)


@pytest.fixture(scope="session")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed; it comes with Prometheus (Debian: prometheus)")
    return found


def run(*argv: str | Path) -> None:
    done = subprocess.run([*map(str, argv)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_configuration_is_one(promtool: str) -> None:
    run(promtool, "check", "config", OBSERVABILITY / "prometheus" / "prometheus.yml")


@by_name
def test_the_rules_are_some(promtool: str, path: Path) -> None:
    run(promtool, "check", "rules", path)


@pytest.mark.parametrize("path", [*RULE_TESTS], ids=lambda path: path.stem)
def test_each_alert_fires_when_it_should_and_only_then(promtool: str, path: Path) -> None:
    run(promtool, "test", "rules", path)


def test_every_alert_is_tested() -> None:
    tested = set()
    for path in RULE_TESTS:
        tested |= set(re.findall(r"- name: (\w+)", path.read_text()))
    assert {alert.name for alert in alerts()} == tested


def test_every_alert_says_what_to_do() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    for alert in alerts():
        for part in ("summary: ", "description: "):
            assert part in alert.text, (alert.name, part)
        assert f"runbook_url: docs/operations.md#{alert.name.lower()}\n" in alert.text, alert.name
        assert f"\n#### {alert.name}\n" in page, alert.name
        assert re.search(r"severity: (critical|warning) ", alert.text), alert.name
