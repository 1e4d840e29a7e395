"""Ensembling over seeds: a head's only chance is its data, so members see different bootstrap weights.

Bagging (Breiman 1996) with the Bayesian bootstrap (Rubin 1981): row i of member b weighs w_i e_ib, e_ib ~
Exp(1). Members' logits are averaged by `Head.predict`.
"""

import numpy as np

from aarlab.kit.blocks.base import Floats
from aarlab.kit.task import W2STask


def bootstrap(task: W2STask, weight: Floats, *, members: int = 10) -> Floats:
    """weight (n,) -> (n, members)."""
    draws = np.random.default_rng([task.seed, 77]).standard_exponential((len(weight), members), np.float32)
    return np.asarray(weight[:, None] * draws, np.float32)
