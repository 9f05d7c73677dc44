"""What the services measure, what rules and dashboards ask for, and what docs/metrics.md says."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from deploy.local.home import ROOT
from deploy.observability import dashboards

OBSERVABILITY = ROOT / "deploy" / "observability"
RULES = sorted((OBSERVABILITY / "prometheus" / "rules").glob("*.yaml"))
RULE_TESTS = sorted((OBSERVABILITY / "prometheus" / "tests").glob("*.yaml"))
_SERVICES = ("identity", "accounts", "ingestion", "analytics", "audit")

# In a process of its own: this one may have loaded other things that measure.
_LIST = f"""
import importlib, json
from prometheus_client import REGISTRY
for name in {_SERVICES}:
    importlib.import_module(f"services.{{name}}.wiring")
importlib.import_module("libs.chassis.entry")
found = {{}}
for one in REGISTRY._collector_to_names:
    name = getattr(one, "_name", "")
    if name.startswith("rookery_"):
        kind = one._type
        found[name + "_total" * (kind == "counter")] = [kind, list(one._labelnames)]
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Metric:
    """A metric as Prometheus knows it; `labels` in the order of the code."""

    kind: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Alert:
    """An alert by its rule's text."""

    name: str
    text: str

    @property
    def metrics(self) -> set[str]:
        """Those its expression asks for."""
        return asked_for(self.text.partition("annotations:")[0])


def registered() -> dict[str, Metric]:
    """All metrics of the five services, by name."""
    done = subprocess.run(
        [sys.executable, "-c", _LIST], capture_output=True, text=True, check=True, cwd=ROOT
    )
    found = json.loads(done.stdout)
    return {name: Metric(kind, tuple(labels)) for name, (kind, labels) in found.items()}


def documented() -> dict[str, tuple[Metric, set[str]]]:
    """The rows of the table in docs/metrics.md: the metric, and the alerts that use it."""
    rows = {}
    for line in (ROOT / "docs" / "metrics.md").read_text().splitlines():
        if line.startswith("| `rookery_"):
            name, kind, labels, _, alerts = (cell.strip() for cell in line.strip("|").split("|"))
            metric = Metric(kind, tuple(_words(labels)))
            rows[name.strip("`")] = (metric, set(_words(alerts)))
    return rows


def _words(cell: str) -> list[str]:
    return re.findall(r"\w+", cell)


def alerts() -> list[Alert]:
    """All alerts of all rule files."""
    return [alert for path in RULES for alert in _alerts_in(path)]


def _alerts_in(path: Path) -> list[Alert]:
    _, *texts = re.split(r"^ *- alert: ", path.read_text(), flags=re.MULTILINE)
    return [Alert(text.partition("\n")[0].strip(), text) for text in texts]


def asked_for(text: str) -> set[str]:
    """The names of our metrics in some PromQL, as they are registered."""
    return {
        re.sub(r"_(bucket|count|sum)$", "", name) for name in re.findall(r"\brookery_\w+", text)
    }


def shown() -> dict[str, set[str]]:
    """What each dashboard asks for, by its file."""
    found = {}
    for name, text in dashboards.documents().items():
        targets = [target for panel in json.loads(text)["panels"] for target in panel["targets"]]
        found[name] = asked_for(" ".join(target["expr"] for target in targets))
    return found
