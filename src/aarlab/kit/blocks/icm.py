"""Internal coherence maximisation as its algorithm is written (Wen et al. 2025, arXiv 2506.10139), on features.

    U(D) = a mean_i log P(y_i | x_i, D minus i) - I(D)

starts from `known` random labels and visits one row after another: the row takes the label that all the others predict,
and the change of U is accepted if it rises, or with probability exp(dU / T), T = max(t_min, t_0 / (1 + b ln n)). The
in-context prediction P is here s(4 m), m the leave-one-out prediction of a ridge regression, exact, for its inverse
grows by one row at a time (Sherman & Morrison 1950). I(D), the contradictions, is 0: a pair is one row, whose two sides
cannot be labelled alike. Labels that predict one another say nothing of which is which: the teacher gives the sign.
"""

import numpy as np
from numpy.typing import NDArray

from aarlab.kit.blocks.base import Floats, Labels, mix
from aarlab.kit.task import W2STask

Doubles = NDArray[np.float64]


def icm(
    task: W2STask,
    x: Floats,
    y: Floats,
    weight: Floats,
    *,
    known: int = 8,
    a: float = 50.0,
    hot: float = 10.0,
    cold: float = 0.01,
    cool: float = 0.99,
    ridge: float = 0.01,
    passes: float = 2.0,
    dims: int = 32,
    share: float = 1.0,
) -> Labels:
    """y <- (1 - share) y + share 1[label] where a label was given; weight <- those rows. `passes`: visits a row."""
    features = x[:, :dims].astype(np.float64)
    if not task.paired:
        features = np.hstack([features, np.ones((len(x), 1))])
    features = features / np.sqrt((features**2).sum(1).mean())
    rng = np.random.default_rng([task.seed, 59])
    label, *_ = anneal(features, rng, known, round(passes * len(x)), a, hot, cold, cool, ridge)
    if (label * (y - 0.5) * weight).sum() < 0:
        label = -label
    given = label != 0
    new = np.where(given, mix(y, (label > 0).astype(np.float32), share), y)
    return new.astype(np.float32), weight * given.astype(np.float32)


def anneal(
    x: Doubles, rng: np.random.Generator, known: int, steps: int, a: float, hot: float, cold: float, cool: float,
    ridge: float,
) -> tuple[Doubles, Doubles, Doubles]:  # fmt: skip
    """(n, d) -> (n,) labels in {-1, 0, 1}, 0 where none was given; the regression's fit and leverages on all rows."""
    n = len(x)
    order = np.concatenate([rng.permutation(n) for _ in range(-(-steps // n) + 1)])[: steps + known]
    label, inverse = np.zeros(n), np.eye(x.shape[1]) / (ridge * n)
    lever, fitted = (x * x).sum(1) / (ridge * n), np.zeros(n)
    value = -np.inf
    for number, row in enumerate(order):
        old = label[row]
        h = lever[row] if old else lever[row] / (1 + lever[row])  # leverage of the row once it is in
        alone = (fitted[row] - h * old) / (1 - h) if old else fitted[row]
        new = float(rng.choice([-1.0, 1.0])) if number < known else (1.0 if alone >= 0 else -1.0)
        if new == old:
            continue
        toward = x @ (inverse @ x[row])
        if old:
            new_lever, new_fitted = lever, fitted + (new - old) * toward
        else:
            grown = 1 + toward[row]
            new_lever = lever - toward**2 / grown
            new_fitted = fitted + toward * (new - fitted[row]) / grown
        label[row] = new
        after = a * coherence(label, new_fitted, new_lever)
        heat = max(cold, hot / (1 + cool * np.log(max(number - known + 1, 1))))
        if number < known or after > value or rng.random() < np.exp((after - value) / heat):
            if not old:
                u = inverse @ x[row]
                inverse = inverse - np.outer(u, u) / (1 + toward[row])
            lever, fitted, value = new_lever, new_fitted, after
        else:
            label[row] = old
    return label, fitted, lever


def coherence(label: Doubles, fitted: Doubles, lever: Doubles) -> float:
    """Mean log P(y_i | x_i, all others) over the labelled rows, from the regression's fit and leverages."""
    on = label != 0
    margin = label[on] * (fitted[on] - lever[on] * label[on]) / (1 - lever[on])
    return float(-np.logaddexp(0, -4 * margin).mean())
