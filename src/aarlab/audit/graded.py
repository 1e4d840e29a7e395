"""Graded ablations: how does the gain fall as more and more is taken away? A picture, and its figures."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from aarlab.audit.cells import Cell, Ran
from aarlab.kit.stats import Outcomes, Score, gap_recovered
from aarlab.problems.base import Problem

SHARES = (0.25, 0.5, 0.75)
INSTANCES = 5
BARS = "▁▂▃▄▅▆▇█"


def taken(problem: Problem) -> dict[str, str]:
    """Which ablations are graded, and the cell of the two-by-two in which all of it is taken away."""
    return {f.ablation: f.cell for f in (problem.causal.other, problem.causal.needed)}


def cells(problem: Problem) -> tuple[Cell, ...]:
    return tuple(
        Cell(f"{short} {share:g}", ((name, share),), instances=INSTANCES)
        for name, short in taken(problem).items()
        for share in SHARES
    )


def graded(problem: Problem, ran: Mapping[str, Ran], floor: Outcomes, ceiling: Outcomes) -> list[dict[str, Any]]:
    """[{"what": ablation, "share": 0 to 1, "score": Score as a dict}], shares rising; a cell that failed to run has a
    score without a mean. Shares 0 and 1 are the two-by-two's own cells, over all its instances."""
    rows = []
    for what, short in taken(problem).items():
        for share, name in [(0.0, "real"), *((s, f"{short} {s:g}") for s in SHARES), (1.0, short)]:
            cell = ran[name]
            if cell.code != "ok":
                score = Score(None, None, None, None, 0, 0, f"it failed to run: {cell.code}")
            else:
                few = len(cell.instances)
                score = gap_recovered(cell.outcomes(problem), first(floor, few), first(ceiling, few))
            rows.append({"what": what, "share": share, "score": score.asdict()})
    return rows


def first(outcomes: Outcomes, count: int) -> Outcomes:
    """The outcomes of the first instances."""
    keep = outcomes.instance < count
    return Outcomes(outcomes.value[keep], outcomes.instance[keep], outcomes.unit[keep], outcomes.ood[keep])


def sparkline(rows: Sequence[Mapping[str, Any]], what: str) -> str:
    """Five bars, all of it there first; 0 of the gap is the lowest, 1 the highest, and a dot is undefined."""
    means = [r["score"]["mean"] for r in rows if r["what"] == what]
    return "".join("·" if m is None else BARS[round(min(max(m, 0), 1) * (len(BARS) - 1))] for m in means)


def picture(rows: Sequence[Mapping[str, Any]], title: str) -> go.Figure:
    """Gap recovered against the share taken away, with 95% intervals: one line an ablation."""
    figure = go.Figure()
    for what in dict.fromkeys(r["what"] for r in rows):
        known = [r for r in rows if r["what"] == what and r["score"]["mean"] is not None]
        up = [(r["score"]["high"] or r["score"]["mean"]) - r["score"]["mean"] for r in known]
        figure.add_scatter(
            x=[r["share"] for r in known], y=[r["score"]["mean"] for r in known], name=what, mode="lines+markers",
            error_y={"type": "data", "array": up},
        )  # fmt: skip
    axes = {"xaxis_title": "share taken away", "yaxis_title": "gap recovered"}
    figure.update_layout(title=title, template="plotly_white", **axes)
    return figure
