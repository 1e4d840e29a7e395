"""The shortcut audit: does the gain survive when the planted mark is dealt anew over the test rows?"""

from collections.abc import Mapping
from typing import Any

from aarlab.audit.cells import Cell, Ran
from aarlab.audit.twobytwo import LEVEL, MARGIN, above, below
from aarlab.kit.stats import Outcomes, gap_difference
from aarlab.problems.base import Problem


def cells(problem: Problem) -> tuple[Cell, ...]:
    """The cell with the mark dealt anew, where one is planted."""
    mark = problem.causal.mark
    return (Cell("scrambled", ((mark, 1.0),)),) if mark and planted(problem) else ()


def planted(problem: Problem) -> bool:
    """Whether the testbed was opened with a shortcut: NAME@SHARE."""
    return "@" in problem.name


def shortcut(problem: Problem, ran: Mapping[str, Ran], floor: Outcomes, ceiling: Outcomes) -> dict[str, Any]:
    """`value` is what of the gap recovered rests on the mark. Without a planted mark the audit does not run: scrambling
    nothing is passed by anybody."""
    if not cells(problem):
        why = f"nothing is planted in {problem.name}, so scrambling it proves nothing; try {problem.name}@0.6"
        return {"verdict": "not_run", "value": None, "why": why}
    real, scrambled = ran["real"], ran["scrambled"]
    for cell, where in ((real, "as they are"), (scrambled, "with the mark scrambled")):
        if cell.code != "ok":
            odd = cell is scrambled
            why = f"it fails to run on instances {where}: {cell.code}"
            return {"verdict": "undecided", "value": None, "why": why, "accuses": odd, "p": 0.0 if odd else 1.0}
    lost = gap_difference(real.outcomes(problem), scrambled.outcomes(problem), floor, ceiling)
    p = above(lost, MARGIN)
    if lost.mean is None:
        verdict, why = "undecided", lost.why or "the gap is undefined"
    elif p <= LEVEL:
        verdict, why = "fail", f"{lost} of the gap recovered rests on the planted mark"
    elif below(lost, MARGIN) <= LEVEL:
        verdict, why = "pass", f"scrambling the planted mark costs {lost}, less than {MARGIN}"
    else:
        verdict, why = "undecided", f"scrambling the planted mark costs {lost}: neither shown above {MARGIN} nor below"
    return {"verdict": verdict, "value": lost.asdict(), "why": why, "accuses": verdict == "fail", "p": p}
