"""Release policies: what researchers are told about a score on sealed rows.

The default is the Ladder (Blum & Hardt 2015) with a paired test: a submission's score is published, rounded, only
when it beats the best published method by z >= 3.5 over the rows, differences averaged over instances and clustered
by source unit. Otherwise nothing is said but that it did not.
"""

from dataclasses import dataclass

import numpy as np

from aarlab.kit.stats import Outcomes, Score

Z_TO_PUBLISH = 3.5
ROUND_TO = 0.005


@dataclass(frozen=True)
class Release:
    """What is said of one submission. `published` is None unless it improved."""

    improved: bool
    published: float | None
    z: float  # for people only: researchers are never told


def paired_z(new: Outcomes, incumbent: Outcomes) -> float:
    """z of the mean difference of two methods on the same rows, instance means first, clustered by unit."""
    difference = new.value - incumbent.value
    units, codes = np.unique(new.unit, return_inverse=True)
    if len(units) < 2:
        return 0.0
    sums = np.bincount(codes, weights=difference - difference.mean(), minlength=len(units))
    se = float(np.sqrt((sums**2).sum() * len(units) / (len(units) - 1))) / len(difference)
    return float(difference.mean()) / se if se > 0 else 0.0


def rounded(value: float) -> float:
    return round(round(value / ROUND_TO) * ROUND_TO, 3)


def ladder(new: Outcomes, score: Score, incumbent: Outcomes) -> Release:
    """Publish `score` only if the method beats the incumbent on the same rows by Z_TO_PUBLISH."""
    z = paired_z(new, incumbent)
    improved = z >= Z_TO_PUBLISH and score.mean is not None
    return Release(improved, rounded(score.mean) if improved and score.mean is not None else None, z)
