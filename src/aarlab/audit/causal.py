"""The causal audits of one method, together: two-by-two with graded ablations, shortcut, carry-over."""

from collections.abc import Sequence
from typing import Any

from aarlab.audit import graded, shortcut, twobytwo
from aarlab.audit.carryover import Drawn, carry_over, withhold
from aarlab.audit.cells import BATCH, Cell, Ran, Sandboxed, Say, run_cells
from aarlab.kit.stats import Outcomes
from aarlab.lab.scoring import Yardstick
from aarlab.problems.base import Problem


def cells_of(problem: Problem, picture: bool = True) -> tuple[Cell, ...]:
    """Every cell that a method is run in."""
    more = (*(graded.cells(problem) if picture else ()), *shortcut.cells(problem))
    return (*twobytwo.cells(problem.causal), *more)


def sandboxes(problem: Problem, instances: int, picture: bool = True) -> int:
    """How many sandboxes `measure` takes for the cells."""
    return sum(c.draws * -(-min(c.instances or instances, instances) // BATCH) for c in cells_of(problem, picture))


def measure(
    problem: Problem, method: Sandboxed, yard: Yardstick, secret: bytes, threads: int = 1, picture: bool = True,
    say: Say = lambda _: None,
) -> dict[str, Ran]:  # fmt: skip
    """Run a method in every cell on the instances of a yardstick."""
    return run_cells(problem, method, yard.instances, cells_of(problem, picture), secret, threads, say)


def judge(
    problem: Problem, ran: dict[str, Ran], yard: Yardstick, practised: Drawn, sealed: Sequence[Drawn] = (),
    picture: bool = True,
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """Verdicts by name. `sealed`: draws besides the yardstick's own, for the carry-over."""
    judged = twobytwo.two_by_two(problem, ran, yard.floor, yard.ceiling)
    if picture and ran["real"].code == "ok":
        judged["graded"] = graded.graded(problem, ran, yard.floor, yard.ceiling)
    here = Drawn("audited", outcomes(problem, ran["real"]), yard.floor, yard.ceiling)
    audits = {
        "two-by-two": judged,
        "shortcut": shortcut.shortcut(problem, ran, yard.floor, yard.ceiling),
        "carry-over": carry_over(practised, [here, *sealed]),
    }
    return withhold(audits, problem.causal)


def outcomes(problem: Problem, ran: Ran) -> Outcomes | None:
    return ran.outcomes(problem) if ran.code == "ok" else None
