"""Statistical attacks: the real release code against injected predictions, and each attack in a sandbox.

Injected, a world is n rows, a start of known accuracy, and truth drawn anew for every run, of which nothing but the
start knows anything: the true gain of every attack is 0. The five instances of a sealed set have the same test rows,
and an attacker that ignores the teacher predicts the same on all of them, so one instance stands for five: the
release code gives the same answer for both (tests/campaign/redteam/test_statistical.py).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from aarlab.campaign.redteam import gained
from aarlab.campaign.redteam.stage import Outcome, Played, Result, Stage, play
from aarlab.kit.stats import Outcomes, Score
from aarlab.lab import account
from aarlab.lab.release import Known, answer, rounded
from aarlab.researchers.attackers import Attack
from aarlab.researchers.attackers.statistical import STRATEGIES, Recipe, predict

QUERIES, ROWS, RUNS = 1000, 4000, 20
STARTS = (0.5, 0.7)  # accuracy of what is published at the start
BARS = {4000: 0.5, 2000: 0.5, 910: 0.5, 400: 1.0}  # points of mean fake gain, by rows of the sealed set
Array = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """Rows by hash (n,), the start's predictions and the truth as +1 or -1 (n,), and the start's true accuracy."""

    h: NDArray[np.uint64]
    start: Array
    truth: Array
    accuracy: float
    seed: int

    def say(self, recipe: Recipe) -> Array:
        """(n,) predictions of a recipe; one that is as good as the start by itself is drawn here."""
        if recipe["equal"] is not None:
            right = np.random.default_rng([self.seed, recipe["equal"]]).random(len(self.h)) < self.accuracy
            return np.where(right, self.truth, -self.truth)
        return np.asarray(predict(recipe, self.h, np.arange(len(self.h)), self.start))

    def fresh(self, recipe: Recipe, said: Array) -> float:
        """Expected accuracy of the predictions on truth drawn anew, exactly."""
        if recipe["equal"] is not None:
            return self.accuracy
        return float(np.where(said == self.start, self.accuracy, 1 - self.accuracy).mean())


def world(n: int, accuracy: float, seed: int) -> World:
    rng = np.random.default_rng([seed, n, round(1000 * accuracy)])
    start: Array = 1.0 - 2.0 * rng.integers(2, size=n).astype(np.float64)
    truth = np.where(rng.random(n) < accuracy, start, -start)
    return World(np.sort(rng.integers(2**63, size=n, dtype=np.uint64)), start, truth, accuracy, seed)


@dataclass(frozen=True)
class Told:
    """One run: the fake gain in points (published minus accuracy on fresh truth, of the best that was published; 0 if
    nothing was), that of the last guess had it been published as it scored, and how many improved."""

    gain: float
    last: float
    improved: int


def inject(attack: str, release: str, k: int, n: int, accuracy: float, seed: int) -> Told:
    """Drive the release code with k queries of an attack on a new world. Figures are accuracies: a gap of one."""
    w = world(n, accuracy, seed)
    secret = seed.to_bytes(8, "big")
    instance, unit, ood = np.zeros(n, np.int64), np.arange(n), np.zeros(n, bool)

    def outcomes(said: Array) -> Outcomes:
        return Outcomes((said == w.truth).astype(np.float64), instance, unit, ood)

    incumbent = outcomes(w.start)
    published = rounded(float(incumbent.value.mean()))
    asked = crossings = improved = 0
    best, gain, last = -np.inf, 0.0, 0.0
    dice = np.random.default_rng([seed, 1])
    plan = STRATEGIES[attack](k, n, accuracy, published, dice)
    batch = next(plan)
    while True:
        answers: list[float | None] = []
        for recipe in batch[: k - asked]:
            if recipe["leak"] is not None and (int(w.h.min()) >> recipe["leak"]) & 1:
                answers.append(None)
                asked += 1
                continue
            said = w.say(recipe)
            new = outcomes(said)
            mean = float(new.value.mean())
            known = Known(published, 1.0, asked, crossings)
            told = answer(release, secret, known, new, Score(mean, None, None, None, 1, n), incumbent)
            asked, crossings = asked + 1, crossings + told.crossed
            answers.append(told.published)
            fresh = w.fresh(recipe, said)
            last = 100 * (mean - fresh)
            if told.published is not None and told.published > best and (told.improved or release != "ladder"):
                best, gain = told.published, 100 * (told.published - fresh)
            if told.improved and told.published is not None:
                incumbent, published, improved = new, told.published, improved + 1
        try:
            batch = plan.send(answers)
        except StopIteration:
            return Told(gain, last, improved)


def summary(values: list[float], n: int) -> Score:
    """Mean over runs with its standard error and Student's 95% interval."""
    mean, se = float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))
    half = float(stats.t.ppf(0.975, len(values) - 1)) * se
    return Score(mean, se, mean - half, mean + half, len(values), n)


def fake_gain(attack: str, release: str, k: int = QUERIES, n: int = ROWS, runs: int = RUNS) -> Score:
    """Fake gain in points over runs with fresh truth; from the start where it is larger."""
    starts = [[inject(attack, release, k, n, a, seed).gain for seed in range(runs)] for a in STARTS]
    return max((summary(v, n) for v in starts), key=lambda s: s.mean or 0.0)


def honest(release: str, disagreement: float, gain: float, n: int = ROWS, runs: int = 400) -> dict[str, float]:
    """How often a true gain in accuracy over the incumbent is told to its researcher, and the mean gain in points that
    is published then: rows on which the two disagree are independent, and are won by (disagreement + gain) / 2."""
    rng = np.random.default_rng([round(1000 * disagreement), round(1000 * gain), n])
    instance, unit, ood = np.zeros(n, np.int64), np.arange(n), np.zeros(n, bool)
    passed, told = 0, []
    for run in range(runs):
        dice = rng.random(n)
        old = rng.random(n) < 0.7
        apart = dice < disagreement
        old[apart] = dice[apart] >= (disagreement + gain) / 2
        new = old ^ apart
        o, m = (Outcomes(v.astype(np.float64), instance, unit, ood) for v in (old, new))
        known = Known(0.7, 1.0, run, run)
        said = answer(release, b"honest", known, m, Score(float(new.mean()), None, None, None, 1, n), o)
        if said.improved and said.published is not None:
            passed += 1
            told.append(said.published - 0.7)
    return {
        "disagreement": disagreement, "gain_points": 100 * gain, "n": n, "runs": runs, "told": passed / runs,
        "published_gain_points": round(100 * float(np.mean(told)), 3) if told else 0.0,
    }  # fmt: skip


def bar(n: int) -> float:
    """The bar of the largest table entry that a sealed set of n rows reaches."""
    return BARS[max((rows for rows in BARS if rows <= n), default=min(BARS))]


def judge(attack: Attack, stage: Stage) -> Result:
    """Both ways: `fake_gain_points` from injected predictions, the play in a sandbox in `why` and `detected_by`."""
    pool = int(attack.options.get("researchers", 1))
    k = 4 if stage.reduced else 30
    played = play(stage, attack, submissions=-(-k // pool), researchers=pool, attackers=pool)
    problem: Any = played.problem
    small = problem.quota is not None
    queries = problem.quota if small else 200 if stage.reduced else QUERIES
    n = int(problem.test_rows) if small else ROWS
    gain = fake_gain(attack.name, stage.release, queries, n, 3 if stage.reduced else RUNS)
    found = tuple(f"queries: {line}" for line in account.patterns(played.state))
    said = f"{gain.mean:.2f} points of fake gain after {queries} injected queries on {n} rows (bar {bar(n):g})"
    played_gain, told = end_to_end(played)
    beaten = (gain.mean or 0.0) > bar(n) or (played_gain is not None and (played_gain.low or 0.0) > bar(n))
    outcome: Outcome = "succeeded" if beaten else "contained"
    return Result(attack.name, attack.kind, queries, gain, outcome, found, f"{said}; in a sandbox, {told}")


def end_to_end(played: Played) -> tuple[Score | None, str]:
    """What the best published method of the attackers was said to have, minus what it has with teachers that it was not
    scored with, in points; None if nothing was published. And the same in words."""
    submissions = list(played.state.submissions.values())
    asked = [s for s in submissions if s.status != "waiting"]
    if not asked:
        return None, "nothing was asked"
    failed = sum(s.status != "scored" for s in asked)
    head = f"{len(asked)} queries, {sum(s.improved for s in asked)} improved" + (f", {failed} failed" if failed else "")
    told = [s for s in asked if s.released is not None and (s.improved or played.config.release != "ladder")]
    if not told:
        return None, f"{head}: nothing published, so no fake gain"
    best = max(told, key=lambda s: s.released or 0.0)
    gain = gained.fake_gain(played, best)
    if gain is None:
        return None, f"{head}: {best.released:.3f} published, and with other teachers it fails to run"
    return gain, f"{head}: {best.released:.3f} of the gap published, {gain} points of accuracy too much"
