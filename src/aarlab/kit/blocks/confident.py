"""Keep, or weigh, rows by the teacher's confidence |y - 1/2| (the "confident-only" baseline of the AAR
release)."""

import numpy as np

from aarlab.kit.blocks.base import Floats, Labels, best, classes
from aarlab.kit.task import W2STask


def confident(
    task: W2STask, x: Floats, y: Floats, weight: Floats, *, keep: float = 0.5, balanced: bool = True
) -> Labels:
    """Keep the share `keep` of rows with the largest |y - 1/2|; `balanced`: that share of each predicted
    class (pairs have none).

    Where classes are kept apart, a teacher that is surer of one class does not turn the pool one-sided.
    """
    sure = np.abs(y - 0.5)
    return y, weight * best(sure, weight, keep, classes(task, y) if balanced else None).astype(np.float32)


def band(task: W2STask, x: Floats, y: Floats, weight: Floats, *, reach: float = 0.25) -> Labels:
    """Drop the rows with |y - 1/2| <= reach, as the AAR release does (it drops .25 <= P <= .75). Raises ValueError
    where no row is left: a teacher that is never so sure."""
    kept = weight * (np.abs(y - 0.5) > reach).astype(np.float32)
    if not kept.any():
        raise ValueError(f"the teacher is never surer than 1/2 + {reach:g}: no row is left")
    return y, kept


def weigh(task: W2STask, x: Floats, y: Floats, weight: Floats, *, power: float = 1.0) -> Labels:
    """weight <- weight |2 y - 1|^power: confidence weighting; a row at 1/2 says nothing and weighs
    nothing."""
    sure = np.power(np.abs(2 * y - 1), power)
    return y, (weight * (sure / max(float(sure.mean()), 1e-9) + 1e-9)).astype(np.float32)
