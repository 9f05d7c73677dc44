"""What a figure says of itself, and what is kept of earlier runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.figures import Figure, Series, alternate, save


def test_the_ratio_is_of_the_medians() -> None:
    figure = Figure("a", "b", "1/s", Series("ours", [1, 30, 2]), Series("limit", [9, 4, 3]))
    assert figure.ratio == 2 / 4


@pytest.mark.parametrize("limit", [None, Series("nothing", [0, 0, 0])])
def test_without_a_limit_there_is_no_ratio(limit: Series | None) -> None:
    assert Figure("a", "b", "1/s", Series("ours", [1]), limit).ratio is None


@pytest.mark.parametrize(
    ("better", "limit", "absolute", "met"),
    [
        ("higher", None, False, True),
        ("lower", None, False, False),
        ("higher", 20.0, False, False),  # half of the limit
        ("lower", 20.0, False, True),
        ("higher", 20.0, True, True),
        ("lower", 20.0, True, False),
        ("higher", 0.0, False, False),  # nothing to compare with is nothing reached
    ],
)
def test_a_target_is_for_the_ratio_or_for_the_figure_itself(
    better: str, limit: float | None, absolute: bool, met: bool
) -> None:
    figure = Figure(
        *("a", "b", "1/s", Series("ours", [10.0])),
        limit=None if limit is None else Series("limit", [limit]),
        better="higher" if better == "higher" else "lower",
        target=5.0,
        absolute=absolute,
    )
    assert figure.met is met


def test_what_has_no_target_is_neither_met_nor_missed() -> None:
    assert Figure("a", "b", "1/s", Series("ours", [10.0])).met is None


def test_saving_keeps_other_parts_and_replaces_its_own(tmp_path: Path) -> None:
    path = tmp_path / "results" / "latest.json"
    save([Figure("a", "old", "s", Series("x", [1.0]))], path, {"rounds": 1})
    save([Figure("b", "other", "s", Series("x", [2.0]))], path, {"rounds": 1})
    save([Figure("a", "new", "s", Series("x", [3.0, 5.0, 4.0]))], path, {"rounds": 3})
    document = json.loads(path.read_text())
    assert [(each["part"], each["name"]) for each in document["figures"]] == [
        ("b", "other"),
        ("a", "new"),
    ]
    assert document["figures"][1]["median"] == 4.0
    assert document["rounds"] == 3


async def test_measures_take_turns() -> None:
    turns: list[str] = []

    async def first() -> float:
        turns.append("first")
        return 1.0

    async def second() -> float:
        turns.append("second")
        return float(len(turns))

    found = await alternate(2, first=first, second_one=second)
    assert turns == ["first", "second"] * 2
    assert found["second_one"] == Series("second one", [2.0, 4.0])
