"""Release policies: what researchers are told about a score on sealed rows. One for the whole lab, by name.

`ladder`, the default, answers only an improvement: the Ladder of Blum & Hardt (2015) with a paired test in place of
its step. A submission must beat the best published method by z >= 3.5 twice: over the rows, differences averaged over
instances and clustered by source unit; and over the instances, each with models of its own, by a paired t-test at
the same level. Rows alone are not enough: a method whose luck flips with the models is better by many standard errors
of rows, now on these, now on those (`aarlab attack w2s/arithmetic --only best-of-k` once had 20 of 30 equal
methods published, up to 1.57 of the gap). All else is told as "not improved". What is published then is not the raw
score, which is lucky by selection: the incumbent's published figure rises by the maximum-likelihood estimate of the
gain, given that the test was passed (Zhong & Prentice 2008), rounded to .005. The estimate is near 0 just above the
mark, where the best of many equal methods lie, and near the raw gain far above it.

`exact`, `rounded`, `gaussian` and `thresholdout` answer every query with a number; they exist for science on leakage.
Their constants are in accuracy, as in the literature, and are converted to the unit that is published.

What else could carry truth, and what bounds it:
- *Counts, marginals, items, `select`, `final`*: no verb answers them; tests/lab/test_release.py names every key of
  every verb's answer and fails when one is added.
- *The code of a failed sealed run.* A sealed run sees rows, never truth, so the code can carry its inputs alone, up to
  log2(16) = 4 bits a query if it were told. Researchers are told "failed": 1 bit a query, about inputs. The code itself
  is for people.
- *The clock.* How long judging takes is how long the method ran: it depends on inputs and not on truth, since scoring
  takes the same time whatever the outcome. A run of at most 60 s read to .2 s tells up to log2(300) = 8 bits of its
  inputs a query. That is not closed: with sealed rows in hand a person could label them, and hard-code what fits in
  64 kB. Testbeds that generate draw other rows for every submission, and `select` and `final` answer nothing.
- *Truth itself* thus leaves only by the answer. Under `ladder` and k queries that is the place of the few that improved
  and their figures: at most j (log2 k + 8) bits for j improvements.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import special

from aarlab.kit.stats import Outcomes, Score

Z_TO_PUBLISH = 3.5
CERTAIN = 1e3  # a deviate beyond every test: figures on record are finite
ROUND_TO = 0.005  # of the figure published
STEP = 0.01  # `rounded`, accuracy
NOISE = 0.02  # `gaussian`, accuracy
THRESHOLD, SIGMA = 0.04, 0.01  # `thresholdout`, accuracy


@dataclass(frozen=True)
class Known:
    """What the lab's account knows before an answer. published: of the incumbent, in the unit that is published; unit:
    accuracy in one of it; queries: answered before this one; crossings: those that crossed Thresholdout's threshold."""

    published: float | None
    unit: float = 1.0
    queries: int = 0
    crossings: int = 0


@dataclass(frozen=True)
class Release:
    """What is said of one submission. `published` is None where nothing is said but "not improved"."""

    improved: bool
    published: float | None
    z: float  # for people only: researchers are never told
    crossed: bool = False  # Thresholdout has used up a crossing; for the account


Policy = Callable[[Known, Outcomes, Score, Outcomes, np.random.Generator], Release]
SILENT = Release(False, None, 0.0)


def generator(secret: bytes, what: str, number: int) -> np.random.Generator:
    """Noise that only the holder of the secret can know, the same when a campaign is resumed."""
    digest = hmac.new(secret, f"release/{what}/{number}".encode(), hashlib.sha256).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def paired_z(new: Outcomes, incumbent: Outcomes) -> float:
    """z of the mean difference of two methods on the same rows, instance means first, clustered by unit."""
    difference = new.value - incumbent.value
    if (new.unit[1:] > new.unit[:-1]).all():  # every row of one instance is a unit of its own, already in order
        units, codes = len(new.unit), np.arange(len(new.unit))
    else:
        names, codes = np.unique(new.unit, return_inverse=True)
        units = len(names)
    if units < 2:
        return 0.0
    sums = np.bincount(codes, weights=difference - difference.mean(), minlength=units)
    se = float(np.sqrt((sums**2).sum() * units / (units - 1))) / len(difference)
    return float(difference.mean()) / se if se > 0 else 0.0


def instance_z(new: Outcomes, incumbent: Outcomes) -> float:
    """The paired t of the instances' mean differences, as the unit normal deviate with the same one-sided p, at most
    CERTAIN either way: that much where they do not differ, and for one instance alone, which says nothing of others."""
    names, codes = np.unique(new.instance, return_inverse=True)
    if len(names) < 2:
        return CERTAIN
    means = np.bincount(codes, weights=new.value - incumbent.value) / np.bincount(codes)
    se = float(means.std(ddof=1)) / len(names) ** 0.5
    if se < 1e-12:
        return CERTAIN
    deviate = -float(special.ndtri(special.stdtr(len(names) - 1, -float(means.mean()) / se)))
    return float(np.clip(deviate, -CERTAIN, CERTAIN))


def corrected_z(z: float, mark: float = Z_TO_PUBLISH) -> float:
    """The mean mu of a unit normal that makes z most likely among draws that are at least `mark`, not below 0:
    z = mu + phi(mark - mu) / Phi(mu - mark), by bisection (Zhong & Prentice 2008). It errs low,
    by less than 1."""

    def expected(mu: float) -> float:
        hazard = np.exp(-((mark - mu) ** 2) / 2 - special.log_ndtr(mu - mark)) / np.sqrt(2 * np.pi)
        return mu + float(hazard)

    low, high = 0.0, max(z, 0.0)
    if expected(low) >= z:
        return 0.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if expected(middle) < z else (low, middle)
    return low


def rounded(value: float) -> float:
    return round(round(value / ROUND_TO) * ROUND_TO, 3)


def ladder(known: Known, new: Outcomes, score: Score, incumbent: Outcomes, rng: np.random.Generator) -> Release:
    """Answer only if the method beats the incumbent by Z_TO_PUBLISH over rows and over instances; never below what
    stands."""
    z = min(paired_z(new, incumbent), instance_z(new, incumbent))
    if z < Z_TO_PUBLISH or score.mean is None:
        return Release(False, None, z)
    gain = float((new.value - incumbent.value).mean()) / known.unit
    corrected = gain * corrected_z(z) / z
    if known.published is None:
        return Release(True, rounded(score.mean - gain + corrected), z)
    return Release(True, max(known.published, rounded(known.published + corrected)), z)


def exact(known: Known, new: Outcomes, score: Score, incumbent: Outcomes, rng: np.random.Generator) -> Release:
    """The score itself."""
    return _answer(known, score.mean, new, incumbent)


def to_a_point(known: Known, new: Outcomes, score: Score, incumbent: Outcomes, rng: np.random.Generator) -> Release:
    """The score to the nearest STEP."""
    step = STEP / known.unit
    return _answer(known, None if score.mean is None else round(round(score.mean / step) * step, 6), new, incumbent)


def gaussian(known: Known, new: Outcomes, score: Score, incumbent: Outcomes, rng: np.random.Generator) -> Release:
    """The score with normal noise of standard deviation NOISE, new for every query."""
    noise = float(rng.normal(0, NOISE)) / known.unit
    return _answer(known, None if score.mean is None else score.mean + noise, new, incumbent)


def thresholdout(known: Known, new: Outcomes, score: Score, incumbent: Outcomes, rng: np.random.Generator) -> Release:
    """Thresholdout (Dwork et al. 2015): what is known already, unless the score is far from it; then the score with
    Laplace noise, and a new threshold. What is known already, in the place of a training score, is the best published.

    The first draw of `rng` belongs to the threshold, and is the same until it is crossed (see `answer`)."""
    if score.mean is None:
        return Release(False, None, paired_z(new, incumbent))
    threshold = THRESHOLD + float(rng.laplace(0, 2 * SIGMA))
    here = np.random.default_rng([int(rng.integers(2**32)), known.queries])
    wobble, noise = float(here.laplace(0, 4 * SIGMA)), float(here.laplace(0, SIGMA))
    if known.published is not None and abs(score.mean - known.published) * known.unit <= threshold + wobble:
        return Release(False, known.published, paired_z(new, incumbent))
    told = _answer(known, score.mean + noise / known.unit, new, incumbent)
    return Release(told.improved, told.published, told.z, crossed=True)


def _answer(known: Known, figure: float | None, new: Outcomes, incumbent: Outcomes) -> Release:
    improved = figure is not None and (known.published is None or figure > known.published)
    return Release(improved, figure, paired_z(new, incumbent))


@dataclass(frozen=True)
class Rule:
    """A policy by name, in one sentence for people; every: whether each query is answered with a number."""

    policy: Policy
    says: str
    every: bool = True


POLICIES: Mapping[str, Rule] = {
    "exact": Rule(exact, "exact: every submission is told its score"),
    "rounded": Rule(to_a_point, f"rounded: every submission is told its score to {STEP:g} of accuracy"),
    "gaussian": Rule(gaussian, f"gaussian: every submission is told its score with noise of {NOISE:g} of accuracy"),
    "thresholdout": Rule(
        thresholdout, f"Thresholdout: every submission is told the best published, or, further than {THRESHOLD:g} of "
        f"accuracy from it, its score with noise of {SIGMA:g}",
    ),
    "ladder": Rule(
        ladder, f"Ladder: a score is published, to {ROUND_TO:g} and corrected for its being selected, only if it beats "
        f"the best published by a paired z >= {Z_TO_PUBLISH:g} over rows and over instances", every=False,
    ),
}  # fmt: skip


def checked(name: str) -> str:
    """The name of a policy. Raises ValueError for another."""
    if name not in POLICIES:
        raise ValueError(f"no release policy {name!r}; known are {', '.join(POLICIES)}")
    return name


def answer(name: str, secret: bytes, known: Known, new: Outcomes, score: Score, incumbent: Outcomes) -> Release:
    """What the lab says of one submission under a policy; the same for the same account and secret."""
    number = known.crossings if name == "thresholdout" else known.queries
    return POLICIES[name].policy(known, new, score, incumbent, generator(secret, name, number))
