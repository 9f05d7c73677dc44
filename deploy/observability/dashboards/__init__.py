"""Grafana's dashboards, one module each; `python -m deploy.observability.dashboards` writes them.

The JSON in `grafana/dashboards` is made here and never by hand; a test compares them.
"""

from pathlib import Path

from deploy.observability.dashboards import http, overview, platforms, spine
from deploy.observability.dashboards.panel import board

FOLDER = Path(__file__).parents[1] / "grafana" / "dashboards"
_BOARDS = {"overview": overview, "spine": spine, "platforms": platforms, "http": http}


def documents() -> dict[str, str]:
    """The JSON of each, by file name."""
    return {
        f"{name}.json": board(name, module.TITLE, module.PANELS) for name, module in _BOARDS.items()
    }
