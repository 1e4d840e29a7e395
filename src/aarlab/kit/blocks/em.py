"""EM for a noisy channel (Dawid & Skene 1979; Raykar et al. 2010): teacher's label = truth through an
unknown channel.

    q_i(b) proportional to p_s(b | x_i) C[y~_i | b],     C[a | b] = sum_i q_i(b) 1[y~_i = a] / sum_i q_i(b),

the student p_s being refitted on q, out of fold, so that no row vouches for itself; y~ = 1[y > 1/2]. C is
kept per slice of the teacher's confidence, so that a sure teacher counts for more if it has earned it.
For paired rows C[1|1] = C[0|0], for exchanging the sides exchanges both.
"""

import numpy as np
from numpy.typing import NDArray

from aarlab.kit.blocks.base import Floats, Labels
from aarlab.kit.heads import out_of_fold, sigmoid
from aarlab.kit.task import W2STask


def em(
    task: W2STask,
    x: Floats,
    y: Floats,
    weight: Floats,
    *,
    rounds: int = 4,
    slices: int = 3,
    ridge: float = 1e-2,
    temper: float = 1.0,
    folds: int = 3,
    balanced: bool = True,
) -> Labels:
    """y <- posterior q after `rounds`; `temper` multiplies the student's logit, an over-sure prior wants
    less than 1; `balanced` puts the middle of the prior at 1/2, or a one-sided teacher would pass for a
    one-sided world."""
    seen = y > 0.5
    order = np.argsort(np.argsort(np.abs(y - 0.5), kind="stable"), kind="stable")
    part = order * slices // len(y)
    q = y
    for _ in range(rounds):
        z = out_of_fold(x, q, weight, ridge=ridge, intercept=not task.paired, folds=folds, seed=task.seed)
        if balanced and not task.paired:
            z = z - np.median(z)
        q = sigmoid(np.float32(temper) * z + evidence(q, seen, part, weight, slices, task.paired))
    return q, weight


def evidence(
    q: Floats, seen: NDArray[np.bool_], part: NDArray[np.int64], weight: Floats, slices: int, paired: bool
) -> Floats:
    """(n,) log C[y~ | 1] - log C[y~ | 0] of each row, with one row of each kind added for safety."""
    one = np.bincount(part * 2 + seen, weight * q, 2 * slices).reshape(slices, 2) + 1
    zero = np.bincount(part * 2 + seen, weight * (1 - q), 2 * slices).reshape(slices, 2) + 1
    if paired:
        one = one + zero[:, ::-1]
        zero = one[:, ::-1]
    ratio = np.log(one / one.sum(1, keepdims=True)) - np.log(zero / zero.sum(1, keepdims=True))
    return np.asarray(ratio[part, seen.astype(int)], np.float32)
