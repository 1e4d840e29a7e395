"""Floors and ceilings of a testbed, measured once and kept: is there a gap that a campaign could recover?

Measured on sealed draws from the calibration's fixed, public secret, so that nothing is said of a campaign's own.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aarlab.kit.cache import cache_dir, write_whole
from aarlab.kit.stats import Score, accuracy, difference, join
from aarlab.problems.base import NotReady
from aarlab.problems.w2s.check import INSTANCES, SECRET
from aarlab.problems.w2s.testbed import SETS, SetName

if TYPE_CHECKING:
    from aarlab.problems.w2s.problem import W2S

SEALED: tuple[SetName, ...] = SETS[1:]
GAP, SES = 0.05, 3.0  # the least gap between floor and ceiling, and the least in its standard errors


def measured(problem: "W2S", fingerprint: str) -> dict[str, dict[str, Any]]:
    """Floor, ceiling and gap of every sealed set (S fields as in `Score.asdict`), and of its parts in and out of
    distribution (floor_in, floor_out, ...); from the cache, or measured now."""
    path = cache_dir() / "references" / f"{problem.name.replace('/', '-')}-{fingerprint}.json"
    if path.exists():
        try:
            return {name: dict(json.loads(path.read_text())[name]) for name in SEALED}
        except (ValueError, TypeError, KeyError) as error:
            raise NotReady(f"{path}: a damaged entry of the cache; delete the file and run again") from error
    found: dict[str, dict[str, Any]] = {name: _measure(problem, name) for name in SEALED}
    write_whole(path, json.dumps(found))
    return found


def _measure(problem: "W2S", name: SetName) -> dict[str, Any]:
    store = cache_dir() / "check" / problem.fingerprint
    sealed = type(problem)(problem.testbed, store, shortcut=problem.shortcut)
    references = [sealed.references(sealed.sealed(name, i, SECRET)) for i in range(INSTANCES)]
    floor, ceiling = join([r.floor for r in references]), join([r.ceiling for r in references])
    parts = {"": (floor, ceiling)}
    if floor.ood.any() and not floor.ood.all():
        parts |= {"_in": (floor.part(False), ceiling.part(False)), "_out": (floor.part(True), ceiling.part(True))}
    return {
        f"{what}{suffix}": score.asdict()
        for suffix, (f, c) in parts.items()
        for what, score in (("floor", accuracy(f)), ("ceiling", accuracy(c)), ("gap", difference(c, f)))
    }


def too_small(sets: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Of which sealed set the gap is too small for a campaign, in words; None if it is of none."""
    for name, figures in sets.items():
        score = Score(**figures["gap"])
        if score.mean is None or score.se is None or score.mean < GAP or score.mean < SES * score.se:
            return (
                f"on {name} the student on true labels is {score} above the teacher: below {GAP}, or below {SES:g} "
                "standard errors: gap recovered would be noise; take a weaker teacher, a stronger student or more data"
            )
    return None
