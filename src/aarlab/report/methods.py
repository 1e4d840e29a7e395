"""The picture of `aarlab baselines --methods`: what every method recovers, in and out of distribution and with one
thing taken away, each with its interval."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from aarlab.report.charts import chart_range, label

COLOURS = ("#4a7fb5", "#e0603f", "#8a7a5c", "#c49a1f", "#9b62b8", "#2ba3b8")
MARKS = ("circle", "diamond", "x", "triangle-down", "square", "cross")
ROW = 38  # pixels of a method


def picture(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], title: str) -> go.Figure:
    """rows: {"name", "formula", "paper", and under each of `columns` a Score as a dict}, drawn from the bottom up;
    columns: keys, and their names in the legend. A score without a mean is not drawn."""
    figure, reach = go.Figure(), list[float]()
    names = [label(r["name"], 40) for r in rows]
    for i, (key, name) in enumerate(columns.items()):
        known = [(y, r) for y, r in enumerate(rows) if r[key]["mean"] is not None]
        means = [r[key]["mean"] for _, r in known]
        ends = [(r[key]["low"], r[key]["high"]) for _, r in known]
        reach += [float(v) for v in (*means, *(e for pair in ends for e in pair if e is not None))]
        figure.add_scatter(
            x=means, y=[y + (len(columns) - 1) * 0.1 - 0.2 * i for y, _ in known], mode="markers", name=label(name),
            marker={"symbol": MARKS[i % len(MARKS)], "color": COLOURS[i % len(COLOURS)], "size": 8 if i < 2 else 6},
            opacity=1 if i < 2 else 0.6,
            error_x={
                "type": "data", "symmetric": False, "thickness": 1.2, "width": 0,
                "array": [(high if high is not None else m) - m for m, (_, high) in zip(means, ends, strict=True)],
                "arrayminus": [m - (low if low is not None else m) for m, (low, _) in zip(means, ends, strict=True)],
            },
            customdata=["<br>".join(label(r[k], 120) for k in ("name", "formula", "paper")) for _, r in known],
            hovertemplate="%{x:.3f}<br>%{customdata}<extra>" + label(name) + "</extra>",
        )  # fmt: skip
    low, high = chart_range([], [min(max(v, -1.0), 2.0) for v in reach])
    for end in (0, 1):
        figure.add_vline(x=end, line={"color": "#888888", "width": 1})
    figure.update_layout(
        title=label(title, 160), template="plotly_white", height=140 + ROW * max(len(rows), 1), margin={"l": 150},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom"},
    )  # fmt: skip
    figure.update_xaxes(title="gap recovered, 95% intervals (0: the floor, 1: the ceiling)", range=[low, high])
    figure.update_yaxes(tickvals=list(range(len(rows))), ticktext=names, range=[-0.7, len(rows) - 0.3], showgrid=False)
    return figure
