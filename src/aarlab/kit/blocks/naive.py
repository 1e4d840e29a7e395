"""Naive weak-to-strong: the student is trained on the teacher's labels as they are (Burns et al. 2023,
section 3)."""

import numpy as np

from aarlab.kit.blocks.base import Floats, Labels
from aarlab.kit.heads import Head, fit
from aarlab.kit.task import W2STask


def hard(task: W2STask, x: Floats, y: Floats, weight: Floats) -> Labels:
    """y -> 1[y > 1/2]; rows at 1/2 exactly keep their label."""
    return np.where(y == 0.5, y, y > 0.5).astype(np.float32), weight


def sharpen(task: W2STask, x: Floats, y: Floats, weight: Floats, *, power: float = 2.0) -> Labels:
    """y -> y^a / (y^a + (1 - y)^a): temperature 1/a (Hinton et al. 2015). power > 1 sharpens, < 1
    softens."""
    a = np.power(np.clip(y, 1e-6, 1 - 1e-6), power)
    b = np.power(np.clip(1 - y, 1e-6, 1 - 1e-6), power)
    return (a / (a + b)).astype(np.float32), weight


def logistic(task: W2STask, x: Floats, y: Floats, weight: Floats, *, ridge: float = 1e-2) -> Head:
    """Cross-entropy on y, hard or soft: mean_w CE(y, p) + ridge/2 |v|^2."""
    return fit(x, y, weight, ridge=ridge, intercept=not task.paired)
