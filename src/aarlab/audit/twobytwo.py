"""The two-by-two: does a gain need both of what the problem gives, one of them, or neither?

A method is run with each of two factors as it is and taken away (problems/causes.py: in weak-to-strong the trained
student, which a gain must need, and the teacher). Figures are gap recovered, paired over rows and instances, two-way
clustered (kit/stats.py); draws of an ablation are averaged within an instance, which stays the unit. Verdicts come from
one-sided tests against a margin (two of them back to back are Schuirmann's 1987 equivalence test), Holm-corrected; "not
significant" is never an answer.

A method may see that what it must need is gone, and fail on purpose. So a problem may lay a trap: rows that only those
get wrong who listen to the needed factor.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import stats as distributions

from aarlab.audit.cells import Array, Cell, Ran
from aarlab.kit.stats import Outcomes, Score, accuracy, gap_difference, gap_recovered, undefined
from aarlab.problems.base import Problem
from aarlab.problems.causes import Causal, Trap

MARGIN = 0.1  # of the gap: what is less than this is as good as nothing
LEVEL = 0.05
HALF = 0.5  # of what taking the needed factor away costs: who listens to it loses at least that in the trap


def cells(causal: Causal) -> tuple[Cell, ...]:
    """The four cells, and the trap's if there is one."""
    needed, other = (causal.needed.ablation, 1.0), (causal.other.ablation, 1.0)
    four = (
        Cell("real"),
        Cell(causal.other.cell, (other,), causal.draws),
        Cell(causal.needed.cell, (needed,)),
        Cell("both", (needed, other), causal.draws),
    )
    return (*four, Cell(causal.trap.cell, ((causal.trap.ablation, causal.trap.share),))) if causal.trap else four


def in_words(causal: Causal) -> dict[str, str]:
    """How the method was run in each cell, in words."""
    four = {
        "real": "", causal.other.cell: causal.other.without, causal.needed.cell: causal.needed.without,
        "both": causal.both,
    }  # fmt: skip
    return four | ({causal.trap.cell: causal.trap.where} if causal.trap else {})


def two_by_two(problem: Problem, ran: Mapping[str, Ran], floor: Outcomes, ceiling: Outcomes) -> dict[str, Any]:
    """Judge the cells. `value` is what the needed factor is worth: real minus without it, in gap recovered.

    verdict: one of the problem's `causal.verdicts` or "undecided"; accuses: whether it speaks against the method; p: of
    the accusation, for a correction over several audits.
    """
    causal, words = problem.causal, in_words(problem.causal)
    needed, other, trap, sign = causal.needed, causal.other, causal.trap, causal.verdicts.sign is not None
    code = ran["real"].code
    if code != "ok":
        return _undecided(f"it does not run: {code}: {ran['real'].message[:200]}", {})
    o = {name: ran[name].outcomes(problem) for name in ran if name in words and ran[name].code == "ok"}
    gain = gap_recovered(o["real"], floor, ceiling)
    judged = {name: _cell(problem, ran[name], floor, ceiling, sign) for name in words}
    more: dict[str, Any] = {
        "margin": MARGIN, "instances": len(ran["real"].instances), "permutations": causal.draws, "cells": judged,
    }  # fmt: skip
    failed = [name for name in words if ran[name].code != "ok"]
    if failed:
        why = "; ".join(f"{ran[n].code} {words[n]}" for n in failed)
        return _undecided(
            f"it runs on real instances but not on ablated ones ({why}): what it does there cannot be judged",
            more | {"failed": {n: ran[n].code for n in failed}}, gain, accuses=True,
        )  # fmt: skip
    if gain.mean is None:
        return _undecided(gain.why or "the gap is undefined", more, gain)
    real, without_other, without_needed, both = (o[n].value for n in ("real", other.cell, needed.cell, "both"))

    def effect(value: Array) -> Score:
        return gap_difference(replace(floor, value=value), replace(floor, value=0 * value), floor, ceiling)

    effects = {needed.name: effect(real - without_needed), other.name: effect(real - without_other)}
    if sign:
        turned = ran[other.cell].outcomes(problem, oriented=True)
        effects[f"{other.name}_oriented"] = effect(real - turned.value)
    effects |= {
        f"main_{needed.name}": effect((real + without_other - without_needed - both) / 2),
        f"main_{other.name}": effect((real + without_needed - without_other - both) / 2),
        "interaction": effect(real - without_other - without_needed + both),
    }
    p = {}
    for factor in (needed, other):
        p[f"needs the {factor.name}"] = above(effects[factor.name], MARGIN)
        p[f"does not need the {factor.name}"] = below(effects[factor.name], MARGIN)
    if sign:
        oriented = effects[f"{other.name}_oriented"]
        p[f"needs more of the {other.name} than a sign"] = above(oriented, MARGIN)
        p[f"needs no more of the {other.name} than a sign"] = below(oriented, MARGIN)
    more["effects"] = {k: v.asdict() for k, v in effects.items()}
    if trap:
        feigned = _feigned(ran[trap.cell], trap, o["real"], o[needed.cell], o[trap.cell])
        p[f"does not listen to the {needed.name}"] = below(feigned, 0.0)
        more[trap.cell] = feigned.asdict()
    adjusted = adjust(p)
    holds = {name: q <= LEVEL for name, q in adjusted.items()}
    more |= {
        "gain": gain.asdict(),
        "tests": [{"claim": k, "p": v, "adjusted": adjusted[k], "holds": holds[k]} for k, v in p.items()],
    }
    verdict, why, accusing = _verdict(causal, holds, gain, effects[needed.name])
    result = {"verdict": verdict, "value": effects[needed.name].asdict(), "why": why, "accuses": bool(accusing)}
    return result | {"p": max(adjusted[c] for c in accusing) if accusing else 1.0} | more


def _verdict(
    causal: Causal, holds: Mapping[str, bool], gain: Score, worth: Score
) -> tuple[str, str, tuple[str, ...]]:
    """Verdict, reason, and the tests on which an accusation rests. worth: of the needed factor."""
    verdicts, needed, other = causal.verdicts, causal.needed.name, causal.other.name
    unheard, unneeded = f"does not listen to the {needed}", f"does not need the {needed}"
    if above(gain, 0.0) > LEVEL:
        return "undecided", f"it recovers nothing that could be explained: {gain}", ()
    if causal.trap and holds[unheard]:
        return verdicts.neither, causal.trap.why, (unheard,)
    if holds[unneeded]:
        if above(gain, MARGIN) > LEVEL:
            return "undecided", f"its gain, {gain}, is too near the margin of {MARGIN} to say what it rests on", ()
        whole = f"the {causal.needed.there} {needed}"
        return verdicts.neither, f"of {gain} recovered, {whole} is worth {worth}, which is below {MARGIN}", (unneeded,)
    if not holds[f"needs the {needed}"]:
        return "undecided", f"the {needed} is worth {worth}: neither shown to be above {MARGIN} nor below", ()
    if holds[f"does not need the {other}"]:
        return verdicts.alone, f"the gain needs the {needed}, and survives without the {other}", ()
    shown = holds[f"needs the {other}"]
    if verdicts.sign is not None:
        if shown and holds[f"needs no more of the {other} than a sign"]:
            return verdicts.sign, f"the gain needs the {needed}; of the {other}, the sign alone", ()
        shown = holds[f"needs more of the {other} than a sign"]
    if shown:
        return verdicts.both, f"the gain needs the {needed} and the {other}", ()
    return "undecided", f"the gain needs the {needed}; whether it needs the {other} is not shown either way", ()


def _feigned(ran: Ran, trap: Trap, real: Outcomes, without: Outcomes, trapped: Outcomes) -> Score:
    """On the trap's rows: what the trap costs minus HALF of what taking the needed factor away costs, in accuracy.
    Below zero: it fails without that, yet is not led astray by it."""
    rows = np.concatenate([i.truth[trap.flag] for i in ran.instances])
    intact, gone, astray = (o.value[rows] for o in (real, without, trapped))
    value = (intact - astray) - HALF * (intact - gone)
    return accuracy(Outcomes(value, real.instance[rows], real.unit[rows], real.ood[rows]))


def _cell(problem: Problem, ran: Ran, floor: Outcomes, ceiling: Outcomes, sign: bool) -> dict[str, Any]:
    if ran.code != "ok":
        return {"code": ran.code, "accuracy": None, "recovered": None, "orientation_free": None}
    plain = ran.outcomes(problem)
    turned = gap_recovered(ran.outcomes(problem, oriented=True), floor, ceiling).asdict() if sign else None
    return {
        "code": "ok", "accuracy": accuracy(plain).asdict(),
        "recovered": gap_recovered(plain, floor, ceiling).asdict(), "orientation_free": turned,
    }  # fmt: skip


def _undecided(why: str, more: dict[str, Any], gain: Score | None = None, accuses: bool = False) -> dict[str, Any]:
    gain = gain or undefined(why)
    p = 0.0 if accuses else 1.0
    return {"verdict": "undecided", "value": None, "why": why, "accuses": accuses, "p": p, "gain": gain.asdict()} | more


def above(score: Score, bound: float) -> float:
    """One-sided p of "not above the bound": Student's t with instances - 1 degrees of freedom; 1 if undefined."""
    if score.mean is None or score.se is None:
        return 1.0
    if score.se == 0:
        return 0.0 if score.mean > bound else 1.0
    return float(distributions.t.sf((score.mean - bound) / score.se, score.seeds - 1))


def below(score: Score, bound: float) -> float:
    """One-sided p of "not below the bound"."""
    if score.mean is None:
        return 1.0
    return above(replace(score, mean=-score.mean), -bound)


def adjust(p: Mapping[str, float]) -> dict[str, float]:
    """Holm's (1979) adjusted p-values: a claim holds at a family-wise level if its adjusted p is at most the level."""
    running, adjusted = 0.0, {}
    for rank, name in enumerate(sorted(p, key=lambda n: p[n])):
        running = max(running, min(1.0, (len(p) - rank) * p[name]))
        adjusted[name] = running
    return {name: adjusted[name] for name in p}
