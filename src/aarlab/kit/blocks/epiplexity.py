"""Epiplexity smoothing (as the AAR study's researchers found it, after Finzi et al. 2026, arXiv 2601.03220): how much
the student learns from a row decides how far its label is believed.

A row's epiplexity is what its loss falls by between the first and the last time that training meets it: structure, not
noise, is what can be learnt. e in [0, 1] is its rank, and the out-of-fold label p is smoothed where little was learnt:

    y <- (1 - a) p + a / 2,   a = strength (1 - e).

That a row's rank is what smooths it is this file's reading; the study's own rule was not published.
"""

import numpy as np
from numpy.typing import NDArray

from aarlab.kit.blocks.base import Floats, Labels, mix
from aarlab.kit.descend import descend
from aarlab.kit.heads import out_of_fold, sigmoid
from aarlab.kit.task import W2STask


def epiplexity(
    task: W2STask,
    x: Floats,
    y: Floats,
    weight: Floats,
    *,
    strength: float = 0.8,
    epochs: int = 4,
    folds: int = 5,
    ridge: float = 1e-2,
    rate: float = 3e-3,
) -> Labels:
    """Labels as above; weights stay. strength in [0, 1]."""
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must be in [0, 1], not {strength}")
    fall = learnt(x, y, weight, ridge=ridge, intercept=not task.paired, epochs=epochs, rate=rate, seed=task.seed)
    z = out_of_fold(x, y, weight, ridge=ridge, intercept=not task.paired, folds=folds, seed=task.seed)
    e = np.argsort(np.argsort(fall, kind="stable"), kind="stable") / np.float32(max(len(fall) - 1, 1))
    a = np.asarray(strength * (1 - e), np.float32)
    return np.asarray((1 - a) * mix(y, sigmoid(z), 1.0) + a / 2, np.float32), weight


def learnt(
    x: Floats, y: Floats, weight: Floats, *, ridge: float, intercept: bool, epochs: int, rate: float, seed: int
) -> Floats:
    """(n,) a row's loss when training first meets it less that when it last does; 0 for rows without weight."""
    first, last = np.full(len(y), np.nan), np.full(len(y), np.nan)

    def slope(z: Floats, rows: NDArray[np.int64], s: float) -> Floats:
        loss = np.logaddexp(0, z[:, 0]) - y[rows] * z[:, 0]
        first[rows] = np.where(np.isnan(first[rows]), loss, first[rows])
        last[rows] = loss
        return sigmoid(z) - y[rows, None]

    descend(x, weight, slope, ridge=ridge, intercept=intercept, epochs=epochs, rate=rate, seed=seed)
    return np.asarray(np.nan_to_num(first - last), np.float32)
