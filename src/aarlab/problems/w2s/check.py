"""Calibration: is a testbed fit for research? Measured on sealed draws from a fixed, public secret.

The marks, over ten instances: a teacher above chance, a gap worth closing, a student that knows something that its
untrained twin does not, untuned baselines that leave something to be found, a tuned method that finds it, and
practice scores that predict sealed ones.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from aarlab.kit import zoo
from aarlab.kit.cache import cache_dir
from aarlab.kit.stats import Outcomes, Score, accuracy, difference, join, spearman
from aarlab.kit.task import W2STask
from aarlab.problems.base import Instance

if TYPE_CHECKING:
    from aarlab.problems.w2s.problem import W2S

INSTANCES = 10
CONFIGURATIONS = 30  # whose practice and sealed scores are compared
TUNING = 90  # random configurations among which practice chooses
SECRET = b"aarlab problems check"

TEACHER, GAP, GAP_SES, LATENT = 0.55, 0.15, 8.0, 0.05
MOST_UNTUNED, LEAST_TUNED, LEAST_LATENT, LEAST_RHO = 0.6, 0.4, 0.2, 0.5


def check(problem: "W2S") -> dict[str, Any]:
    """Measure every mark of one testbed and judge it. Takes minutes; S fields as in `Score.asdict`."""
    sealed_problem = type(problem)(problem.testbed, cache_dir() / "check" / problem.fingerprint)
    sealed = [sealed_problem.sealed("final", i, SECRET) for i in range(INSTANCES)]
    practice = [problem.practice(i) for i in range(INSTANCES)]
    floor, ceiling = _references(problem, sealed)
    practice_floor, practice_ceiling = _references(problem, practice)
    twin_ceiling = join([problem.ceiling(i, untrained=True) for i in sealed])
    untuned = {
        n: problem.gap(_run(problem, sealed, zoo.BASELINES[n]), floor, ceiling).asdict() for n in problem.baselines
    }
    configs = configurations(problem, TUNING)
    half = practice[: INSTANCES // 2]
    quick_floor, quick_ceiling = _references(problem, half)
    quick = [_mean(problem.gap(_run(problem, half, c), quick_floor, quick_ceiling)) for c in configs]
    sealed_scores = [_mean(problem.gap(_run(problem, sealed, c), floor, ceiling)) for c in configs[:CONFIGURATIONS]]
    rho, low = spearman(quick[:CONFIGURATIONS], sealed_scores)
    finalists = [configs[i] for i in np.argsort(quick)[::-1][:5]]
    best = max(
        finalists, key=lambda c: _mean(problem.gap(_run(problem, practice, c), practice_floor, practice_ceiling))
    )
    tuned = problem.gap(_run(problem, sealed, best), floor, ceiling)
    untrained = problem.gap(_run(problem, sealed, best, untrained=True), floor, ceiling)
    y = sealed[0].truth
    figures = {
        "testbed": problem.name, "n": len(y["y"]), "units": len(np.unique(y["unit"])),
        "floor": accuracy(floor).asdict(), "ceiling": accuracy(ceiling).asdict(),
        "ceiling_untrained": accuracy(twin_ceiling).asdict(), "references": untuned,
        "best": {
            "method": zoo.what(best), "config": best.asdict(), "trained": tuned.asdict(),
            "untrained": untrained.asdict(),
        },
        "practice_sealed_spearman": round(rho, 4), "spearman_low": round(low, 4), "climbable": problem.climbable,
    }  # fmt: skip
    gap, latent = difference(ceiling, floor), difference(ceiling, twin_ceiling)
    failed = marks(figures, gap, latent)
    notes = [] if problem.climbable else [f"not climbable: {figures['n']} test rows, quota {problem.quota}"]
    return {**figures, "ok": not failed, "why": "; ".join(failed + notes) or "all marks met"}


def marks(figures: dict[str, Any], gap: Score, latent: Score) -> list[str]:
    """The marks that are missed, each in words with its figure."""
    floor = figures["floor"]["mean"]
    tuned, untrained = figures["best"]["trained"]["mean"], figures["best"]["untrained"]["mean"]
    missed = []
    if floor < TEACHER:
        missed.append(f"teacher {floor:.3f} is below {TEACHER}")
    if not gap.mean or gap.mean < GAP:
        missed.append(f"gap {gap.mean or 0:.3f} is below {GAP}")
    if not gap.mean or not gap.se or gap.mean < GAP_SES * gap.se:
        missed.append(f"gap is {(gap.mean or 0) / (gap.se or np.inf):.1f} standard errors, below {GAP_SES:g}")
    if not latent.mean or latent.mean < LATENT:
        missed.append(f"ceiling is {latent.mean or 0:.3f} above the untrained twin's, below {LATENT}")
    for name, score in figures["references"].items():
        if score["mean"] is None or score["mean"] > MOST_UNTUNED:
            missed.append(
                f"untuned {name} recovers {score['mean'] if score['mean'] is None else round(score['mean'], 3)}"
            )
    if tuned is None or tuned < LEAST_TUNED:
        missed.append(f"the best tuned method recovers {tuned}, below {LEAST_TUNED}")
    elif untrained is None or tuned - untrained < LEAST_LATENT:
        missed.append(f"the best tuned method recovers {untrained} on the untrained twin, too near {tuned}")
    if figures["spearman_low"] < LEAST_RHO:
        missed.append(f"practice predicts sealed with rho >= {figures['spearman_low']:.2f} only, below {LEAST_RHO}")
    return missed


def configurations(problem: "W2S", count: int) -> list[zoo.Config]:
    """Random configurations of the zoo that apply to the testbed; always the same ones."""
    traits, rng = problem.traits, np.random.default_rng(0)
    return [zoo.sample(rng, None, traits) for _ in range(count)]


def _references(problem: "W2S", instances: Sequence[Instance]) -> tuple[Outcomes, Outcomes]:
    references = [problem.references(i) for i in instances]
    return join([r.floor for r in references]), join([r.ceiling for r in references])


def _run(problem: "W2S", instances: Sequence[Instance], config: zoo.Config, untrained: bool = False) -> Outcomes:
    tasks = [W2STask.load(i.task, untrained=untrained) for i in instances]
    return join([problem.score(i, zoo.run(t, config)) for i, t in zip(instances, tasks, strict=True)])


def _mean(score: Score) -> float:
    return score.mean if score.mean is not None else float("-inf")
