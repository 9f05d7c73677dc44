"""What a dashboard is made of, and its JSON."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_DATASOURCE = {"type": "prometheus", "uid": "prometheus"}


@dataclass(frozen=True)
class Panel:
    """A chart over time. `queries` are (PromQL, legend); `unit` is Grafana's name of it."""

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    note: str = ""


def one(title: str, query: str, legend: str, unit: str = "short", note: str = "") -> Panel:
    """A chart of one query."""
    return Panel(title, ((query, legend),), unit, note)


def quantiles(title: str, metric: str, by: str, unit: str = "s", note: str = "") -> Panel:
    """The median and the 99th percentile of a histogram, for each value of the label `by`."""
    return Panel(
        title,
        tuple(
            (
                f"histogram_quantile({share}, sum by (le, {by}) (rate({metric}_bucket[5m])))",
                f"{{{{{by}}}}} p{share * 100:.0f}",
            )
            for share in (0.5, 0.99)
        ),
        unit,
        note,
    )


def board(name: str, title: str, panels: Sequence[Panel]) -> str:
    """The JSON of a dashboard; its panels stand two in a row."""
    document = {
        "uid": f"rookery-{name}",
        "title": title,
        "tags": ["rookery"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "links": [
            {"type": "dashboards", "tags": ["rookery"], "title": "Rookery", "asDropdown": True}
        ],
        "panels": [_panel(number, panel) for number, panel in enumerate(panels)],
    }
    return json.dumps(document, indent=1) + "\n"


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.note,
        "datasource": _DATASOURCE,
        "gridPos": {"h": 8, "w": 12, "x": 12 * (number % 2), "y": 8 * (number // 2)},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}},
        "targets": [
            {
                "refId": chr(65 + place),
                "datasource": _DATASOURCE,
                "expr": query,
                "legendFormat": legend,
            }
            for place, (query, legend) in enumerate(panel.queries)
        ],
    }
