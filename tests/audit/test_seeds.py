"""Seeds: steady gains pass, a gain on one instance of ten and the luckiest of 200 do not, and noise is not accused."""

from dataclasses import replace

import numpy as np
import pytest

from aarlab.audit.seeds import seeds
from aarlab.kit.stats import Outcomes, gap_recovered, join

ROWS, FLOOR, CEILING = 600, 0.6, 0.9


def outcomes(rng: np.random.Generator, levels: np.ndarray) -> Outcomes:
    """One instance a level: rows right with that probability."""
    return join(
        [
            Outcomes(
                (rng.random(ROWS) < level).astype(float),
                np.zeros(ROWS, np.int64),
                np.arange(ROWS),
                np.zeros(ROWS, bool),
            )
            for level in levels
        ]
    )


def drawn(seed: int, gain: np.ndarray) -> tuple[Outcomes, Outcomes, Outcomes, Outcomes]:
    """A method better than the starting baseline by `gain` on each instance; start, floor, ceiling."""
    rng = np.random.default_rng(seed)
    start = FLOOR + 0.1 + rng.normal(0, 0.01, len(gain))
    levels = start + gain, start, np.full(len(gain), FLOOR), np.full(len(gain), CEILING)
    return tuple(outcomes(rng, level) for level in levels)  # type: ignore[return-value]


def test_a_steady_gain_passes() -> None:
    passed = 0
    for seed in range(10):
        found = seeds(*drawn(seed, np.random.default_rng(seed).normal(0.06, 0.02, 10)))
        passed += found["verdict"] == "pass"
        chances = found["chances"]["start"]
        assert chances[1] <= chances[10] + 0.01
    assert passed == 10


def test_a_gain_on_one_instance_of_ten_fails() -> None:
    caught = [seeds(*drawn(s, np.array([0.0] * 9 + [0.25])))["verdict"] for s in range(30)]
    assert caught.count("pass") <= 1
    sharp = [seeds(*drawn(s, np.array([-0.02] * 9 + [0.4])))["verdict"] for s in range(10)]
    assert "pass" not in sharp and sharp.count("fail") >= 4


def test_noise_is_not_accused_and_seldom_passes() -> None:
    verdicts = [seeds(*drawn(s, np.random.default_rng(s).normal(0, 0.02, 10)))["verdict"] for s in range(100)]
    assert verdicts.count("fail") <= 3
    assert verdicts.count("pass") <= 10


def test_small_steady_and_uneven_gains_are_not_accused() -> None:
    for spread in (0.01, 0.04, 0.08):
        gains = [np.random.default_rng([7, s]).normal(0.03, spread, 10) for s in range(40)]
        assert sum(seeds(*drawn(s, g))["verdict"] == "fail" for s, g in enumerate(gains)) <= 1


def test_the_luckiest_of_200_shrinks_and_fails() -> None:
    """Two hundred methods that gain nothing, the best of them on five small `search` instances, read on ten others."""
    caught = 0
    for seed in range(5):
        rng = np.random.default_rng([1, seed])
        best = None
        for _ in range(200):
            gain = rng.normal(0, 0.03, 5)
            method, _, floor, ceiling = (part_of(o, 60) for o in drawn(int(rng.integers(2**31)), gain))
            score = gap_recovered(method, floor, ceiling)
            if score.mean is not None and (best is None or score.mean > best.mean):
                best = score
        found = seeds(*drawn(seed + 500, np.random.default_rng(seed).normal(0, 0.03, 10)), searched=best)
        assert found["verdict"] != "pass"
        caught += found["verdict"] == "fail" and found["shrink"]["low"] > 0
    assert caught >= 3


def part_of(o: Outcomes, rows: int) -> Outcomes:
    keep = o.unit < rows
    return Outcomes(o.value[keep], o.instance[keep], o.unit[keep], o.ood[keep])


def test_a_real_gain_that_shrank_is_told_and_passes() -> None:
    method, start, floor, ceiling = drawn(3, np.full(10, 0.08))
    here = gap_recovered(method, floor, ceiling)
    found = seeds(method, start, floor, ceiling, searched=replace(here, mean=here.mean + 0.5))
    assert found["verdict"] == "pass" and "since search" in found["why"]


@pytest.mark.parametrize("count", [2, 9])
def test_too_few_instances_are_undecided(count: int) -> None:
    assert seeds(*drawn(0, np.full(count, 0.1)))["verdict"] == "undecided"


def test_no_gap_is_undecided() -> None:
    method, start, floor, _ = drawn(0, np.full(10, 0.1))
    found = seeds(method, start, floor, floor)
    assert found["verdict"] == "undecided" and found["value"]["mean"] is None
