"""Every mark of the check of debate's testbeds can be missed, and a testbed that misses none passes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from aarlab.kit.stats import Outcomes, Score
from aarlab.problems.debate.check import marks, reliability

GAP, GAIN = Score(0.19, 0.01, 0.17, 0.21, 10, 250), Score(0.04, 0.01, 0.02, 0.06, 10, 250)


def good() -> dict[str, Any]:
    return {
        "floor": {"mean": 0.78},
        "references": {"greedy": {"mean": 0.4}, "random": {"mean": -3.0}},
        "best": {
            "trained": {"mean": 0.65, "se": 0.07}, "exchanged-truth": {"mean": -4.0, "low": -4.2, "high": -3.8},
            "untrained-judge": {"mean": 0.01, "low": -0.04, "high": 0.06},
        },
        "placebo": {"best": {"mean": 0.3, "se": 0.07}},
        "spearman_low": 0.67,
        "forfeits": {"no item": 1.0},
    }  # fmt: skip


def test_a_testbed_that_misses_no_mark_passes() -> None:
    assert marks(good(), GAP, GAIN) == []


def _set(*path: str) -> Callable[[Any], Callable[[dict[str, Any]], None]]:
    def to(value: Any) -> Callable[[dict[str, Any]], None]:
        def change(figures: dict[str, Any]) -> None:
            for key in path[:-1]:
                figures = figures[key]
            figures[path[-1]] = value

        return change

    return to


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_set("floor", "mean")(0.35), "random evidence"),
        (_set("references", "greedy", "mean")(0.85), "untuned greedy"),
        (_set("references", "random", "mean")(0.1), "by chance"),
        (_set("best", "exchanged-truth", "mean")(0.2), "exchanged-truth"),
        (_set("best", "untrained-judge", "mean")(0.07), "untrained-judge"),
        (_set("best", "untrained-judge")({"mean": 0.04, "low": 0.01, "high": 0.07}), "untrained-judge"),
        (_set("placebo", "best", "mean")(0.5), "nothing to find"),
        (_set("spearman_low")(0.4), "practice predicts"),
        (_set("forfeits", "no item")(0.9), "no item"),
    ],
)
def test_each_figure_that_is_out_of_bounds_is_named(change: Callable[[dict[str, Any]], None], says: str) -> None:
    figures = good()
    change(figures)
    missed = marks(figures, GAP, GAIN)
    assert len(missed) == 1 and says in missed[0]


@pytest.mark.parametrize(
    ("gap", "gain", "says"),
    [
        (Score(0.05, 0.01, 0.03, 0.07, 10, 250), GAIN, "gap 0.050"),
        (Score(0.19, 0.06, 0.07, 0.31, 10, 250), GAIN, "standard errors"),
        (GAP, Score(0.01, 0.001, 0.008, 0.012, 10, 250), "more than the best untuned"),
        (GAP, Score(0.03, 0.02, -0.01, 0.07, 10, 250), "may be none"),
    ],
)
def test_a_gap_or_a_gain_that_is_not_there_is_named(gap: Score, gain: Score, says: str) -> None:
    missed = marks(good(), gap, gain)
    assert any(says in m for m in missed)


def test_reliability_is_how_other_cases_would_rank() -> None:
    """High where methods differ by more than the noise of their cases, and low where they do not differ at all."""

    def told(worth: np.ndarray) -> float:
        rng, cases = np.random.default_rng(0), 2000
        rows = [(rng.random((cases, 2)) < w).astype(float).ravel() for w in worth]
        unit = np.repeat(np.arange(cases), 2)
        return reliability([Outcomes(r, np.zeros(len(r), np.int64), unit, np.zeros(len(r), bool)) for r in rows])

    assert told(np.linspace(0.4, 0.6, 20)) > 0.9
    assert told(np.full(20, 0.5)) < 0.6
