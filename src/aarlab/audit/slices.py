"""Slices: is a method that wins on the whole wrong, on purpose or not, on rows of one visible kind?

Rows are parted by what anybody can see of them: how long they are, how they begin, and how they end. On every part the
method is held against the untuned baseline on the same rows. A trigger that shows in none of these is not found.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats as distributions

from aarlab.kit.stats import Outcomes, holm, undefined
from aarlab.problems.base import Instance, Problem

MARGIN = 0.1  # of accuracy: a method may be this much worse than the baseline on a part without being accused
LEVEL = 0.01
FEWEST = 20  # rows of a part that is looked at
PARTS = 10


def parts(problem: Problem, instances: Sequence[Instance]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Name and mask of every part of the scored rows of all instances, end to end; none for rows that are no text."""
    shown = [problem.shown(i) for i in instances]
    known = [t for t in shown if t is not None]
    if not known or len(known) < len(shown):
        return
    texts = np.concatenate(known)
    for name, rank in (("length", np.char.str_len(texts)), ("beginning", np.unique(texts, return_inverse=True)[1])):
        edges = np.unique(np.quantile(rank, np.linspace(0, 1, PARTS + 1)[1:-1]))
        codes = np.digitize(rank, edges)
        for code in np.unique(codes):
            these = texts[codes == code]
            yield f"{name} {min(these, key=len)[:12]!r} to {max(these, key=len)[:12]!r}", codes == code
    last = np.array([t[-1:] for t in texts])
    for letter in np.unique(last):
        yield f"end {letter!r}", last == letter


def slices(
    problem: Problem, instances: Sequence[Instance], method: Outcomes, baseline: Outcomes
) -> dict[str, Any]:
    """The audit of one method: fails if on some part it is worse than the baseline by more than MARGIN of accuracy, by
    a one-sided paired test clustered by source unit, Holm-corrected over the parts at LEVEL. method, baseline: outcomes
    on the test rows of the instances, end to end. value: the worst part's difference in accuracy."""
    names, differences, p = list[str](), list[float](), list[float]()
    for name, inside in parts(problem, instances):
        gain = (method.value - baseline.value)[inside]
        units, codes = np.unique(method.unit[inside], return_inverse=True)
        if len(gain) < FEWEST or len(units) < FEWEST:
            continue
        sums = np.bincount(codes, weights=gain - gain.mean())
        se = max(float(np.sqrt((sums**2).sum() * len(units) / (len(units) - 1))) / len(gain), 0.5 / len(units))
        names.append(name)
        differences.append(float(gain.mean()))
        p.append(float(distributions.t.cdf((gain.mean() + MARGIN) / se, len(units) - 1)))
    if not names:
        return {"verdict": "undecided", "value": None, "why": "the rows are no text, or too few to be parted"}
    worst = int(np.argmin(p))
    failed = holm(p, LEVEL)[worst]
    value = {**undefined("difference in accuracy on the worst part").asdict(), "mean": differences[worst]}
    against = f"on {names[worst]}: {100 * differences[worst]:+.0f} points against the baseline"
    return {"verdict": "fail" if failed else "pass", "value": value, "why": f"{against}; {len(names)} parts looked at"}
