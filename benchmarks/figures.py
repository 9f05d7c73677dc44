"""What a benchmark gives: figures beside their limits, as a table for people and JSON for scripts."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

LATEST = Path(__file__).parent / "results" / "latest.json"


@dataclass(frozen=True)
class Series:
    """The same thing measured in several rounds."""

    name: str
    rounds: Sequence[float]

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return statistics.median(self.rounds)


@dataclass(frozen=True)
class Figure:
    """A measured series, and what it is to be read against.

    `ratio` is measured / limit, from the medians; where less is better (`better="lower"`) it says how
    far below the limit the figure stands, so that below 1 is good. `target` is for the ratio, or,
    without a limit or if `absolute`, for the figure itself; None where none was set. `peer` marks somebody else's
    software on the same work, which has no target.
    """

    part: str
    name: str
    unit: str
    measured: Series
    limit: Series | None = None
    better: Literal["higher", "lower"] = "higher"
    target: float | None = None
    absolute: bool = False
    peer: bool = False
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """Measured / limit."""
        if self.limit is None or not self.limit.median:
            return None
        return self.measured.median / self.limit.median

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None without one."""
        if self.target is None:
            return None
        of_itself = self.absolute or self.limit is None
        value = self.measured.median if of_itself else self.ratio
        if value is None:
            return False
        return value >= self.target if self.better == "higher" else value <= self.target


Measure = Callable[[], Awaitable[float]]


async def alternate(rounds: int, **measures: Measure) -> dict[str, Series]:
    """Run the measures one after the other, `rounds` times over, so that all see the same weather."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            found[name].append(await measure())
    return {name: Series(name.replace("_", " "), values) for name, values in found.items()}


def show(figures: Sequence[Figure], console: Console) -> None:
    """Print the table."""
    table = Table(box=None, pad_edge=False)
    for heading in ("", "figure", "unit", "limit", "", "ratio", "to reach", ""):
        table.add_column(heading, justify="right" if heading in {"figure", "ratio"} else "left")
    part = None
    for figure in figures:
        if figure.part != part:
            table.add_section()
            table.add_row(f"[bold]{figure.part}[/]")
            part = figure.part
        sign = "≥" if figure.better == "higher" else "≤"
        table.add_row(
            ("  peer: " if figure.peer else "  ") + figure.name,
            _number(figure.measured.median),
            figure.unit,
            figure.limit.name if figure.limit else "",
            _number(figure.limit.median) if figure.limit else "",
            "" if figure.ratio is None else f"{figure.ratio:.2f}",
            "" if figure.target is None else f"{sign} {figure.target:g}",
            {True: "[green]reached[/]", False: "[red]not reached[/]", None: ""}[figure.met],
        )
    console.print(table)


def save(figures: Sequence[Figure], path: Path, about: Mapping[str, Any]) -> None:
    """Write all rounds as JSON; what `path` held of parts not measured now stays."""
    kept = []
    if path.exists():
        measured_now = {figure.part for figure in figures}
        kept = [
            old
            for old in json.loads(path.read_text())["figures"]
            if old["part"] not in measured_now
        ]
    made = [
        {
            **asdict(figure),
            "median": figure.measured.median,
            "limit_median": figure.limit.median if figure.limit else None,
            "ratio": figure.ratio,
            "met": figure.met,
        }
        for figure in figures
    ]
    document = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
        **about,
        "figures": kept + made,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
