"""Calibration: is a testbed of debate fit for research? Measured on sealed draws from a fixed, public secret.

The marks, over ten instances of a sealed set: a judge whom random evidence does not mislead, a gap worth closing, a
debater who plays by chance below it all, untuned baselines that leave something to be found, a tuned method that finds
it and more than there is in the placebo, gains that vanish without the truth and without the judge, practice that
predicts sealed scores, and a referee by whom nobody gets away with a move that is none.

Images are few, so a testbed of images is measured on its three sealed sets, which share none: the 250 of one set tell
gains of two wins in a hundred from none only half of the time.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from aarlab.kit.cache import cache_dir
from aarlab.kit.debate import space
from aarlab.kit.stats import Outcomes, Score, accuracy, difference, join, spearman
from aarlab.problems.base import Instance, OutputSpec
from aarlab.problems.debate import bounds, referee

if TYPE_CHECKING:
    from aarlab.problems.debate.problem import Debate

INSTANCES = 10
CONFIGURATIONS = 30  # whose practice and sealed scores are compared
TUNING = 90  # random configurations among which practice chooses
BOUNDED = 40  # cases of every instance of which all lines are tried
SPLITS = 50  # ways in which cases are halved
SECRET = b"aarlab problems check"

FLOOR, GAP, GAP_SES = 0.4, 0.08, 4.0  # a lie that is chosen well may bring the judge to a half on random evidence
MOST_UNTUNED, LEAST_GAIN, LEAST_RHO = 0.8, 0.02, 0.5
# Without the truth, or the judge, no gain is left: none that an interval shows, and at most a tenth of what was found.
# (Where it is about nothing, the sign of one measurement is a coin's toss.)
MOST_LEFT = 0.1


def check(problem: "Debate") -> dict[str, Any]:
    """Measure every mark of one testbed and judge it. Takes minutes; S fields as in `Score.asdict`."""
    vault = replace(problem, store=cache_dir() / "check" / problem.fingerprint)
    sets = ("final",) if problem.fresh_search else ("final", "select", "search")
    sealed = [vault.sealed(name, i, SECRET) for name in sets for i in range(INSTANCES)]
    practice = [problem.practice(i) for i in range(INSTANCES)]
    floor, ceiling = _references(problem, sealed)
    practice_floor, practice_ceiling = _references(problem, practice)
    outcomes = {n: _run(problem, sealed, space.BASELINES[n]) for n in problem.baselines}
    untuned = {n: problem.gap(o, floor, ceiling) for n, o in outcomes.items()}
    best_untuned = max(untuned, key=lambda n: _mean(untuned[n]))

    configs = configurations(problem, TUNING)
    half = practice[: INSTANCES // 2]
    quick_floor, quick_ceiling = _references(problem, half)
    practised = [_run(problem, half, c) for c in configs]
    quick = [_value(o, quick_floor, quick_ceiling) for o in practised]
    final = sealed[:INSTANCES]
    final_floor, final_ceiling = _references(problem, final)
    finals = [_run(problem, final, c) for c in configs[:CONFIGURATIONS]]
    rho, low = spearman(quick[:CONFIGURATIONS], [_value(o, final_floor, final_ceiling) for o in finals])
    reliable = {"practice": reliability(practised[:CONFIGURATIONS]), "sealed": reliability(finals)}
    finalists = [configs[i] for i in np.argsort(quick)[::-1][:5]]
    best = max(finalists, key=lambda c: _value(_run(problem, practice, c), practice_floor, practice_ceiling))
    tuned = _run(problem, sealed, best)
    gain = difference(tuned, outcomes[best_untuned])
    drawn = [problem.placebo(i, 0) for i in sealed]
    blank_floor, blank_ceiling = _references(problem, drawn)
    tried = {n: space.BASELINES[n] for n in ("greedy", best_untuned)} | {"best": best}
    blank = {n: problem.gap(_run(problem, drawn, c), blank_floor, blank_ceiling).asdict() for n, c in tried.items()}
    figures = {
        "testbed": problem.name, "sets": list(sets), "n": sum(len(i.truth["y"]) for i in sealed[::INSTANCES]),
        "units": len(np.unique(floor.unit)),
        "floor": accuracy(floor).asdict(), "ceiling": accuracy(ceiling).asdict(),
        "references": {n: s.asdict() for n, s in untuned.items()}, "best_untuned": best_untuned,
        "best": {
            "method": space.what(best), "config": best.asdict(), "wins": accuracy(tuned).asdict(),
            "trained": problem.gap(tuned, floor, ceiling).asdict(), "gain": gain.asdict(),
            **{name: problem.gap(_ablated(problem, sealed, best, name), floor, ceiling).asdict()
               for name in ("exchanged-truth", "untrained-judge")},
        },
        "placebo": blank, "climbable": problem.climbable,
        "practice_sealed_spearman": round(rho, 4), "spearman_low": round(low, 4),
        "reliability": {name: round(r, 4) for name, r in reliable.items()},
        "debaters": _bound(problem, sealed), "forfeits": forfeits(problem, sealed[0]),
    }  # fmt: skip
    failed = marks(figures, difference(ceiling, floor), gain)
    rows = len(sealed[0].truth["y"])
    if low < LEAST_RHO:
        told = ", ".join(f"{name} {r:.2f}" for name, r in reliable.items())
        failed.append(f"how reliably {CONFIGURATIONS} methods are ranked at all: {told}")
    notes = [] if problem.climbable else [f"not climbable: {rows} test rows a set, quota {problem.quota}"]
    return {**figures, "ok": not failed, "why": "; ".join(failed + notes) or "all marks met"}


def marks(figures: dict[str, Any], gap: Score, gain: Score) -> list[str]:
    """The marks that are missed, each in words with its figure."""
    missed = []
    if figures["floor"]["mean"] < FLOOR:
        missed.append(f"the judge wins {figures['floor']['mean']:.3f} on random evidence, below {FLOOR}")
    if not gap.mean or gap.mean < GAP:
        missed.append(f"gap {gap.mean or 0:.3f} is below {GAP}")
    if not gap.mean or not gap.se or gap.mean < GAP_SES * gap.se:
        missed.append(f"gap is {(gap.mean or 0) / (gap.se or np.inf):.1f} standard errors, below {GAP_SES:g}")
    for name, score in figures["references"].items():
        if score["mean"] is None or score["mean"] > MOST_UNTUNED:
            missed.append(f"untuned {name} recovers {score['mean']}")
    by_chance = figures["references"]["random"]["mean"]
    if by_chance is None or by_chance > 0:
        missed.append(f"a debater that plays by chance recovers {by_chance}, more than random evidence")
    if gain.mean is None or gain.mean < LEAST_GAIN:
        missed.append(f"the best tuned method wins {gain.mean} more than the best untuned, below {LEAST_GAIN}")
    elif gain.low is None or gain.low <= 0:
        missed.append(f"the best tuned method's gain {gain} may be none")
    found, blank = figures["best"]["trained"], figures["placebo"]["best"]
    for name in ("exchanged-truth", "untrained-judge"):
        left = figures["best"][name]
        if left["mean"] is None or left["low"] > 0 or left["mean"] > MOST_LEFT * (found["mean"] or 0):
            share = f"{left['mean']} [{left['low']}, {left['high']}]"
            missed.append(f"the best tuned method still recovers {share} with {name}")
    if found["mean"] is None or found["mean"] - blank["mean"] < 1.96 * np.hypot(found["se"], blank["se"]):
        missed.append(f"the best tuned method recovers {found['mean']}; with nothing to find, {blank['mean']}")
    if figures["spearman_low"] < LEAST_RHO:
        missed.append(f"practice predicts sealed with rho >= {figures['spearman_low']:.2f} only, below {LEAST_RHO}")
    missed += [f"{what}: {share:.3f} of honest games forfeited, not all" for what, share in figures["forfeits"].items()
               if share < 1]  # fmt: skip
    return missed


class Cheat:
    """A debater that moves by no rule: `bad` says what it reveals, given the task folder's legal items."""

    entry = "debater"

    def __init__(self, what: str) -> None:
        self.what = what

    def __call__(self, folders: Sequence[Path], specs: Sequence[OutputSpec]) -> list[NDArray[np.float64]]:
        return [self.move(f) for f in folders]

    def move(self, folder: Path) -> NDArray[np.float64]:
        case, shown = np.load(folder / "case.npy"), np.load(folder / "shown.npy")
        legal = np.load(folder / "legal.npy")[case]
        if self.what == "out of range":
            return np.full(len(case), float(legal.shape[1]))
        if self.what == "no item":
            return np.full(len(case), 0.5)
        free = legal.copy()
        rows, steps = np.nonzero(shown >= 0)
        free[rows, shown[rows, steps]] = False
        began = (shown >= 0).any(1)
        if self.what == "shown before":
            return np.asarray(np.where(began, shown[:, 0], free.argmax(1)), np.float64)
        return np.asarray((~legal).argmax(1), np.float64)  # not legal


def forfeits(problem: "Debate", instance: Instance) -> dict[str, float]:
    """Share of honest games lost by a debater that breaks one rule, by the rule; every one should be."""
    lost = {}
    for what in ("out of range", "no item", "shown before", "not legal"):
        lost[what] = float(np.mean(problem.score(instance, problem.play([instance], Cheat(what))[0]).value == 0))
    return lost


def configurations(problem: "Debate", count: int) -> list[space.Config]:
    """Random configurations of the space that apply to the testbed; always the same ones."""
    rng = np.random.default_rng(0)
    return [space.sample(rng, None, problem.traits) for _ in range(count)]


def reliability(outcomes: Sequence[Outcomes]) -> float:
    """How alike other cases of the kind, as many, would rank the methods (their outcomes on the same rows): the mean
    rank correlation of halves, over SPLITS ways to split the units, raised to the whole (Spearman 1910, Brown 1910).
    No ranking by these cases can be expected to agree with another by more than its root (Spearman 1904). Judges are
    the same in both halves."""
    won, unit = np.stack([o.value for o in outcomes]), outcomes[0].unit
    numbers, place = np.unique(unit, return_inverse=True)
    rng, found = np.random.default_rng(0), []
    for _ in range(SPLITS):
        half = rng.permutation(np.arange(len(numbers)) % 2 == 0)[place.ravel()]
        found.append(float(spearmanr(won[:, half].mean(1), won[:, ~half].mean(1)).statistic))
    r = float(np.mean(found))
    return 2 * r / (1 + r)


def _bound(problem: "Debate", instances: Sequence[Instance]) -> dict[str, float] | None:
    """What minimax wins and what no debater can win more than (bounds.py), on a few cases of every instance; None
    where all lines are too many."""
    if problem.testbed.k > bounds.EXACT:
        return None
    found = [bounds.bound(bounds.few(referee.setting(i), BOUNDED)) for i in instances]
    return {name: round(float(np.mean([b[name] for b in found])), 4) for name in found[0]}


def _references(problem: "Debate", instances: Sequence[Instance]) -> tuple[Outcomes, Outcomes]:
    references = [problem.references(i) for i in instances]
    return join([r.floor for r in references]), join([r.ceiling for r in references])


def _run(problem: "Debate", instances: Sequence[Instance], config: space.Config) -> Outcomes:
    return join([problem.score(i, problem.direct(i, config)) for i in instances])


def _ablated(problem: "Debate", instances: Sequence[Instance], config: space.Config, name: str) -> Outcomes:
    maker = next(a for a in problem.ablations if a.name == name)
    with TemporaryDirectory(prefix="aar-check-") as home:
        changed = [maker.apply(i, Path(home) / str(n), n, 1.0) for n, i in enumerate(instances)]
        return _run(problem, changed, config)


def _value(method: Outcomes, floor: Outcomes, ceiling: Outcomes) -> float:
    """Gap recovered as a plain ratio: on few practice rows its error is of no interest, only the order is."""
    gap = float(ceiling.value.mean() - floor.value.mean())
    return float(method.value.mean() - floor.value.mean()) / gap if gap > 0 else float("-inf")


def _mean(score: Score) -> float:
    return score.mean if score.mean is not None else float("-inf")
