"""`alerts.yaml` by Prometheus's own tool, and against the metrics and the pages it names."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from deploy.backup import metrics
from deploy.backup.settings import ROOT

HERE = Path(__file__).parent
RULES = HERE.parent / "alerts.yaml"


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "rules", "--lint-fatal", str(RULES)],
        ["test", "rules", str(HERE / "alerts_test.yaml")],
    ],
)
def test_the_rules_are_right_and_fire_when_they_should(arguments: list[str]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool")
    done = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_asks_for_what_is_measured_and_has_a_page() -> None:
    measured = {metric.name for metric in REGISTRY.collect()}
    assert {metric.name for metric in metrics.LAST_SUCCESS.describe()} <= measured
    headings = {
        line.lstrip("# ").strip().lower()
        for line in (ROOT / "docs" / "operations.md").read_text().splitlines()
        if line.startswith("#")
    }
    rules = RULES.read_text()
    assert set(re.findall(r"rookery_\w+", rules)) <= measured
    pages = re.findall(r"runbook_url: docs/operations\.md#(\w+)", rules)
    assert len(pages) == rules.count("- alert:")
    assert set(pages) <= headings
