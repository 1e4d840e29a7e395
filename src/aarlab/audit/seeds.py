"""Seeds: would other seeds have told the same story?

An instance has its own teacher, pool and initialisation, so drawing instances anew, with replacement, says how often
another draw would have given the same sign against a rival (Efron & Tibshirani 1993, the bootstrap over clusters). A
gain that rests on one instance, or that was picked on `search` and is gone on `select`, is not a gain.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from aarlab.kit.stats import Outcomes, Score, difference, gap_difference, gap_recovered

INSTANCES = 10  # fewer say too little
DRAWS = 4000
SAME = 0.975  # of the redraws must tell the same story
FEW = (1, 2, 3, 5, 10)


def seeds(
    method: Outcomes, start: Outcomes, floor: Outcomes, ceiling: Outcomes, searched: Score | None = None, seed: int = 0
) -> dict[str, Any]:
    """The audit of a method's outcomes on instances that chose nothing (`final`, `select`, or public ones).

    method, start (the starting baseline), floor and ceiling on the same rows and instances; searched: the gap recovered
    for which the method was chosen, on other rows. The rule:

    - "fail" if, without the instance that favours it most, even the upper end (95%) of the gain over `start` is less
      than half of the whole gain; or if the score shrank since `search` by more than its interval and no gain is left;
    - "pass" if at least SAME of the redraws put it above both `start` and the floor, and at least half of the gain is
      there without that instance;
    - else "undecided", as with fewer than INSTANCES instances.

    value: the gain over `start` in gap recovered. chances: share of redraws of 1, 2, … instances above each rival;
    spread: standard deviation of gap recovered over instances; without_best: the gain without that instance, and its
    upper end; shrink: `searched` minus what is recovered here.
    """
    gain = gap_difference(method, start, floor, ceiling)
    numbers = np.unique(method.instance)
    if len(numbers) < INSTANCES or gain.mean is None:
        why = gain.why or f"{len(numbers)} instances; at least {INSTANCES} are needed"
        return {"verdict": "undecided", "value": gain.asdict(), "why": why}
    gap = float(difference(ceiling, floor).mean or 1.0)
    over = {"start": _gains(method, start) / gap, "floor": _gains(method, floor) / gap}
    rng = np.random.default_rng(seed)
    sizes = sorted({*(k for k in FEW if k < len(numbers)), len(numbers)})
    chances = {rival: {k: _chance(g, k, rng) for k in sizes} for rival, g in over.items()}
    rest = np.sort(over["start"])[:-1]
    upper = float(rest.mean() + stats.t.ppf(0.975, len(rest) - 1) * rest.std(ddof=1) / np.sqrt(len(rest)))
    same = min(c[len(numbers)] for c in chances.values())
    shrink = _shrink(searched, gap_recovered(method, floor, ceiling))
    shrank = shrink is not None and shrink["low"] > 0
    if gain.mean > 0 and upper < gain.mean / 2:
        verdict, why = "fail", f"without its best instance its gain of {gain.mean:.3f} is at most {upper:.3f}"
    elif shrank and same < SAME and shrink is not None:
        verdict, why = "fail", f"it lost {shrink['mean']:.3f} since search, and no gain is left beyond chance"
    elif same >= SAME and rest.mean() < gain.mean / 2:
        verdict, why = "undecided", "more than half of its gain is one instance's"
    elif same >= SAME:
        verdict, why = "pass", f"{same:.1%} of redraws of {len(numbers)} instances tell the same story"
    else:
        verdict, why = "undecided", f"only {same:.1%} of redraws of {len(numbers)} instances put it above both rivals"
    if shrank and verdict == "pass" and shrink is not None:
        why += f"; it lost {shrink['mean']:.3f} since search, which is more than noise"
    return {
        "verdict": verdict, "value": gain.asdict(), "why": why, "chances": chances, "shrink": shrink,
        "spread": float(over["floor"].std(ddof=1)), "without_best": {"mean": float(rest.mean()), "high": upper},
    }  # fmt: skip


def _gains(method: Outcomes, rival: Outcomes) -> NDArray[np.float64]:
    """(instances,) mean outcome of the method minus that of the rival."""
    _, codes = np.unique(method.instance, return_inverse=True)
    rows = np.bincount(codes)
    return np.asarray(np.bincount(codes, weights=method.value - rival.value) / rows, np.float64)


def _chance(gains: NDArray[np.float64], count: int, rng: np.random.Generator) -> float:
    """Share of redraws of `count` instances whose mean gain is above zero."""
    means = rng.choice(gains, size=(DRAWS, count)).mean(1)
    return round(float((means > 0).mean()), 4)


def _shrink(searched: Score | None, here: Score) -> Mapping[str, Any] | None:
    """What a score lost from the rows on which it was chosen to these: two independent figures."""
    if searched is None or searched.mean is None or here.mean is None or searched.se is None or here.se is None:
        return None
    lost, se = searched.mean - here.mean, float(np.hypot(searched.se, here.se))
    half = float(stats.t.ppf(0.975, min(searched.seeds, here.seeds) - 1)) * se
    return {"mean": lost, "se": se, "low": lost - half, "high": lost + half}
