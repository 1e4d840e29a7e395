"""`aarlab baselines TESTBED --methods …`: the table of a problem's catalogued methods, and what speaks against each."""

import json
import os
import sys
from collections.abc import Mapping, Sequence, Set
from concurrent.futures import Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import plotly.io as pio
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from aarlab.campaign import workers
from aarlab.kit.stats import Outcomes, Score, accuracy, join, over_instances, undefined
from aarlab.lab.snapshots import BadMethod
from aarlab.problems.base import Problem, Studied, nearest
from aarlab.report.methods import picture

WORKERS = 2
INSIDE, OUTSIDE = "in_distribution", "out_of_distribution"
Predictions = dict[str, dict[int, NDArray[np.float32]]]


def study(problem: Problem, methods: str, full: bool, seeds: int, as_json: bool, out: Path | None) -> None:
    """Measure, print, and plot. Raises BadMethod for a name that is none, or a file that can't be written."""
    catalogue = wanted(problem, methods, full)
    quick = wanted(problem, "all", False)
    if out is not None and (out.is_dir() or not os.access(out.absolute().parent, os.W_OK)):
        raise BadMethod(f"--out {out}: can't be written there; name a file in a folder that exists")
    if out is not None and out.suffix not in (".html", ".md"):
        raise BadMethod(f"--out {out}: a picture is written to a name that ends in .html, a table to one in .md")
    done: Predictions = {name: {} for name in catalogue}
    failed: dict[str, str] = {}
    stopped = ""
    try:
        measure(problem.name, done, failed, seeds, set(catalogue) - set(quick))
    except (KeyboardInterrupt, BrokenProcessPool) as error:
        stopped = "stopped" if isinstance(error, KeyboardInterrupt) else "a worker process was killed"
    figures = summary(problem, catalogue, done, failed, seeds)
    if as_json:
        print(json.dumps(figures))
    else:
        show(figures)
    if out is not None:
        out.write_text(html(figures) if out.suffix == ".html" else markdown(figures))
    if stopped:
        left = sum(seeds > len(d) for n, d in done.items() if n not in failed)
        print(f"aarlab: {stopped}, {left} methods unfinished; the same command goes on from here", file=sys.stderr)
        raise typer.Exit(1)


def sweep(problem: Problem, methods: str, seeds: int, as_json: bool) -> None:
    """Gap recovered in distribution at every value of the swept hyperparameter. Raises BadMethod as `study` does."""
    names = list(wanted(problem, methods, False))
    assert isinstance(problem, Studied)
    done: dict[int, Mapping[str, Mapping[str, NDArray[np.float32]]]] = {}
    stopped = False
    try:
        with (
            Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress,
            workers.pool(WORKERS) as pool,
        ):
            task = progress.add_task("sweeping", total=seeds)
            jobs = {pool.submit(workers.sweep, problem.name, names, seed): seed for seed in range(seeds)}
            for job in as_completed(jobs):
                done[jobs[job]] = job.result()
                progress.update(task, advance=1)
    except KeyboardInterrupt:
        stopped = True
    known = sorted(done) if len(done) > 1 else []
    instances = [problem.practice(s) for s in known]
    references = [problem.references(i) for i in instances]
    rows: dict[str, dict[str, Any]] = {}
    if known:
        floor, ceiling = (join([getattr(r, p) for r in references]).part(False) for p in ("floor", "ceiling"))
        for name, values in done[known[0]].items():
            for value in values:
                outputs = [done[s][name][value].astype(np.float64) for s in known]
                outcomes = join([problem.score(i, o) for i, o in zip(instances, outputs, strict=True)])
                rows.setdefault(name, {})[value] = problem.gap(outcomes.part(False), floor, ceiling).asdict()
    if as_json:
        print(json.dumps({"testbed": problem.name, "seeds": len(known), "methods": rows}))
    elif rows:
        table = Table("method", *next(iter(rows.values())), box=None)
        for name, row in rows.items():
            table.add_row(name, *(_short(s) for s in row.values()))
        Console(width=max(Console().width, 110), markup=False, highlight=False).print(table)
        print("gap recovered in distribution ± half a 95% interval; the best of many is better by luck, too")
    if stopped:
        print(f"aarlab: stopped after {len(done)} of {seeds} instances", file=sys.stderr)
        raise typer.Exit(1)


def wanted(problem: Problem, methods: str, full: bool) -> Mapping[str, Mapping[str, str]]:
    """The methods that are meant, with what is known of them."""
    if not isinstance(problem, Studied):
        raise BadMethod(f"--methods: {problem.name} has no catalogue of methods; leave --methods out for its baselines")
    known, everything, absent = problem.methods(full), problem.methods(True), problem.absent()
    if methods == "all":
        return known
    names = list(dict.fromkeys(n.strip() for n in methods.split(",") if n.strip()))
    for name in names:
        if name in absent:
            raise BadMethod(f"--methods: {name} can't be run on {problem.name}: {absent[name]}")
        if name not in everything:
            close = ", ".join(nearest(name, list(everything))[:5])
            raise BadMethod(f"--methods: no method {name!r}; the nearest are {close}")
    if not names:
        raise BadMethod("--methods: no name is given; say all, or names with commas between them")
    return {n: everything[n] for n in names}


def measure(testbed: str, done: Predictions, failed: dict[str, str], seeds: int, slow: Set[str] = frozenset()) -> None:
    """Every method on every instance, one instance after another, so that a stop leaves intervals to print; what is
    slow comes last."""
    order = [(n, s) for late in (False, True) for s in range(seeds) for n in done if (n in slow) == late]
    with (
        Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress,
        workers.pool(WORKERS) as pool,
    ):
        task = progress.add_task("measuring", total=len(done) * seeds)
        jobs: dict[Future[NDArray[np.float32]], tuple[str, int]] = {
            pool.submit(workers.predict, testbed, name, seed): (name, seed) for name, seed in order
        }
        for job in as_completed(jobs):
            name, seed = jobs[job]
            try:
                done[name][seed] = job.result()
            except ValueError as error:
                failed[name] = str(error)
            progress.update(task, advance=1, description=f"{name} on instance {seed}")


def summary(
    problem: Problem, catalogue: Mapping[str, Mapping[str, str]], done: Predictions, failed: Mapping[str, str],
    seeds: int,
) -> dict[str, Any]:
    """All figures as one JSON-ready object. Methods keep the catalogue's order; one that has not seen two instances is
    unfinished."""
    assert isinstance(problem, Studied)
    usable = {n: d for n, d in done.items() if n not in failed and len(d) > 1}
    references = {s: problem.references(problem.practice(s)) for s in sorted({s for d in usable.values() for s in d})}
    rows = []
    for name, known in usable.items():
        floor, ceiling = (
            {ood: join([getattr(references[s], part) for s in sorted(known)]).part(ood) for ood in (False, True)}
            for part in ("floor", "ceiling")
        )
        studies = [problem.judged(s, known[s]) for s in sorted(known)]

        def gap(parts: Sequence[Outcomes], ood: bool, floor: Any = floor, ceiling: Any = ceiling) -> dict[str, Any]:
            return problem.gap(join(parts).part(ood), floor[ood], ceiling[ood]).asdict()

        real, first = [s.real for s in studies], studies[0]
        more = {f: _both(join([s.figures[f] for s in studies])) for f in first.figures}
        more["calibration"] = {
            where: _mean([s.calibration[i] for s in studies]).asdict() for i, where in enumerate((INSIDE, OUTSIDE))
        }
        rows.append(
            {
                "name": name, **catalogue[name], "instances": len(known),
                INSIDE: gap(real, False), OUTSIDE: gap(real, True),
                "ablated": {a: gap([s.ablated[a] for s in studies], False) for a in first.ablated}, "figures": more,
            }
        )  # fmt: skip
    ends = {
        part: _both(join([getattr(r, part) for r in references.values()])) if references else None
        for part in ("floor", "ceiling")
    }
    return {
        "testbed": problem.name, "seeds": seeds, **ends, "methods": rows, "failed": dict(failed),
        "unfinished": [n for n in done if n not in usable and n not in failed], "absent": dict(problem.absent()),
    }  # fmt: skip


def _both(outcomes: Outcomes) -> dict[str, Any]:
    return {INSIDE: accuracy(outcomes.part(False)).asdict(), OUTSIDE: accuracy(outcomes.part(True)).asdict()}


def _mean(values: Sequence[float]) -> Score:
    return undefined("no rows in this part") if np.isnan(values).any() else over_instances(values)


def ordered(figures: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The methods, best in distribution first; what is undefined comes last."""
    return sorted(figures["methods"], key=lambda r: -_or(r[INSIDE]["mean"], -9e9))


def show(figures: Mapping[str, Any]) -> None:
    """The table for a person."""
    console = Console(width=max(Console().width, 132), markup=False, highlight=False)
    if figures["methods"]:
        console.print(_filled(Table("method", "recovered", "out of dist.", *_titles(figures), box=None), figures))
        console.print(_ends(figures))
    for name, why in figures["failed"].items():
        console.print(f"{name} can't be run here: {why}")
    if figures["unfinished"]:
        console.print(f"unfinished: {', '.join(figures['unfinished'])}")


def _filled(table: Table, figures: Mapping[str, Any]) -> Table:
    for row in ordered(figures):
        table.add_row(row["name"], *_cells(row))
    return table


def _titles(figures: Mapping[str, Any]) -> list[str]:
    return [*figures["methods"][0]["ablated"], *figures["methods"][0]["figures"]]


def _cells(row: Mapping[str, Any]) -> list[str]:
    scores = [row[INSIDE], row[OUTSIDE], *row["ablated"].values()]
    means = [f[INSIDE]["mean"] for f in row["figures"].values()]
    return [_short(s) for s in scores] + ["-" if m is None else f"{m:.3f}" for m in means]


def _ends(figures: Mapping[str, Any]) -> str:
    floor, ceiling = (_short(figures[p][INSIDE]) for p in ("floor", "ceiling"))
    return f"floor {floor}, ceiling {ceiling} (accuracy in distribution); ± is half a 95% interval"


def markdown(figures: Mapping[str, Any]) -> str:
    """The table for a page, with formulas and papers."""
    if not figures["methods"]:
        return "No method was measured.\n"
    titles = ["method", "formula", "paper", "recovered", "out of dist.", *_titles(figures)]
    rows = [titles, ["---"] * len(titles)]
    rows += [[r["name"], r["formula"], r["paper"], *_cells(r)] for r in ordered(figures)]
    lines = ["| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in rows]
    return "\n".join([*lines, "", f"{figures['testbed']}, {figures['seeds']} instances: {_ends(figures)}", ""])


def html(figures: Mapping[str, Any]) -> str:
    """The picture."""
    taken = list(figures["methods"][0]["ablated"]) if figures["methods"] else []
    columns = {INSIDE: "in distribution", OUTSIDE: "out of distribution", **{a: a for a in taken}}
    rows = [{**r, **r["ablated"]} for r in reversed(ordered(figures))]
    title = f"{figures['testbed']}: gap recovered by {len(rows)} methods on {figures['seeds']} instances"
    return str(pio.to_html(picture(rows, columns, title)))


def _or(value: float | None, other: float) -> float:
    return other if value is None else value


def _short(score: Mapping[str, Any]) -> str:
    """Mean and half the interval: ".192 ±.070"."""
    if score["mean"] is None:
        return "undefined"
    half = "" if score["high"] is None else f" ±{score['high'] - score['mean']:.3f}"
    return f"{score['mean']:.3f}{half}"
