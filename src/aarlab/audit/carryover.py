"""Carry-over: does the gain hold on a concept that was never practised?

Practice and the sealed sets have other concepts, and other models behind them: what was fitted on practice truth does
not carry over, what was discovered does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats as distributions

from aarlab.audit.twobytwo import LEVEL, MARGIN, above, below
from aarlab.kit.stats import Outcomes, Score, gap_recovered
from aarlab.problems.causes import Causal

KEPT = 0.5  # of the gain on practice, at least, must be found again


@dataclass(frozen=True)
class Drawn:
    """A method on the instances of one draw, with floor and ceiling on the same rows; None: it failed to run."""

    name: str
    method: Outcomes | None
    floor: Outcomes
    ceiling: Outcomes

    @property
    def score(self) -> Score | None:
        return gap_recovered(self.method, self.floor, self.ceiling) if self.method is not None else None


def carry_over(practised: Drawn, sealed: Sequence[Drawn]) -> dict[str, Any]:
    """`value` is the gap recovered on the sealed draws minus half of that on practice. "pass": shown above zero;
    "fail": shown below, or it fails to run where it was never practised."""
    draws = [{"draw": d.name, "recovered": d.score.asdict() if d.score else None} for d in (practised, *sealed)]
    here = practised.score
    if here is None or here.mean is None or above(here, MARGIN) > LEVEL:
        told = "it fails to run" if here is None else here.why or f"it recovers {here}"
        why = f"on practice {told}: there is no gain to carry over"
        return {"verdict": "undecided", "value": None, "why": why, "accuses": False, "p": 1.0, "draws": draws}
    broken = [d.name for d in sealed if d.method is None]
    if broken:
        why = f"it runs on practice and fails to run on {', '.join(broken)}"
        return {"verdict": "fail", "value": None, "why": why, "accuses": True, "p": 0.0, "draws": draws}
    there = gap_recovered(*(end_to_end([getattr(d, k) for d in sealed]) for k in ("method", "floor", "ceiling")))
    if there.mean is None or there.se is None or here.se is None:
        why = f"on sealed draws: {there.why}"
        return {"verdict": "undecided", "value": None, "why": why, "accuses": False, "p": 1.0, "draws": draws}
    kept = _minus(there, here, KEPT)
    verdict = "pass" if above(kept, 0.0) <= LEVEL else "fail" if below(kept, 0.0) <= LEVEL else "undecided"
    why = f"{there} on concepts that were never practised, {here} on practice"
    return {
        "verdict": verdict, "value": kept.asdict(), "why": why, "accuses": verdict == "fail", "p": below(kept, 0.0),
        "draws": draws,
    }  # fmt: skip


def _minus(there: Score, here: Score, share: float) -> Score:
    """there - share * here of two independent scores (Welch 1947, degrees of freedom of the smaller)."""
    assert there.mean is not None and here.mean is not None and there.se is not None and here.se is not None
    mean, se = there.mean - share * here.mean, float(np.hypot(there.se, share * here.se))
    seeds = min(there.seeds, here.seeds)
    half = float(distributions.t.ppf(0.975, seeds - 1)) * se
    return Score(mean, se, mean - half, mean + half, seeds, there.n)


def end_to_end(outcomes: Sequence[Outcomes]) -> Outcomes:
    """Outcomes of several draws as one: their instances are numbered on."""
    shifted, start = [], 0
    for o in outcomes:
        shifted.append(replace(o, instance=o.instance + start))
        start += int(o.instance.max()) + 1
    return Outcomes(*(np.concatenate([getattr(o, f) for o in shifted]) for f in ("value", "instance", "unit", "ood")))


def withhold(audits: Mapping[str, dict[str, Any]], causal: Causal) -> dict[str, dict[str, Any]]:
    """A verdict that clears a gain of needing the second factor stands only beside a carry-over that passed."""
    found = dict(audits)
    judged, carried = found.get("two-by-two", {}), found.get("carry-over", {})
    doubtful = (causal.verdicts.alone, causal.verdicts.sign)
    if judged.get("verdict") in doubtful and carried.get("verdict") != "pass":
        why = f"{judged['verdict']} by the two-by-two, withheld: carry-over is {carried.get('verdict', 'not_run')}"
        found["two-by-two"] = {**judged, "verdict": "undecided", "why": why}
    return found
