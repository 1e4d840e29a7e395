"""`aarlab audit`: can a method's gain be believed? On anybody's method, without a campaign."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import plotly.io as pio
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from aarlab.audit import accusations, causal, graded, together
from aarlab.audit import read as reading
from aarlab.audit.carryover import Drawn
from aarlab.audit.cells import Cell, Sandboxed, run_cells
from aarlab.campaign import workers
from aarlab.kit.client import read_method
from aarlab.kit.stats import Score, join
from aarlab.lab import snapshots
from aarlab.lab import vault as vaults
from aarlab.lab.scoring import Yardstick
from aarlab.lab.vault import Vault
from aarlab.problems import base
from aarlab.problems.base import Problem
from aarlab.problems.causes import Causal
from aarlab.report.text import line
from aarlab.sandbox.probe import probe

PRACTISED = 10  # public instances on which the carry-over begins
ELSEWHERE = 5  # instances of another sealed draw, for the carry-over alone
STYLE = {"pass": "green", "fail": "bold red", "not_run": "dim", "informs": "dim"}
REAL = (Cell("real"),)


def audit(
    method: Annotated[Path, typer.Argument(metavar="METHOD_DIR", help="A folder with method.py and card.toml.")],
    testbed: Annotated[str, typer.Option(help="Such as w2s/prose, or w2s/prose@0.6 with a planted shortcut.")],
    secret: Annotated[str | None, typer.Option(help="Draw the sealed instances from this secret, in hex.")] = None,
    slots: Annotated[int, typer.Option(min=1, help="Sandboxes at a time.")] = 2,
    html: Annotated[Path | None, typer.Option(help="Write the picture of graded ablations here.")] = None,
    sandbox: Annotated[str, typer.Option(help="bwrap, or none: NOT ISOLATED.")] = "bwrap",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print exactly one JSON object on standard output.")
    ] = False,
) -> None:
    """Run the causal audits on a method: what does its gain rest on?

    Example: aarlab audit my-method --testbed w2s/prose
    """
    problem = base.load(testbed)
    files = read(method, problem)
    probe(sandbox)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory(prefix="aarlab-audit-") as folder:
        vault = vaults.create(Path(folder) / "vault", parse(secret))
        audits = together(run(testbed, method.absolute(), vault, sandbox, slots) | reading(files, problem.kind))
    accused = accusations(audits)
    verdict = "accused" if accused else audits["two-by-two"]["verdict"]
    if html is not None and "graded" in audits["two-by-two"]:
        title = f"{method.name} on {testbed}: {audits['two-by-two']['verdict']}"
        html.write_text(pio.to_html(graded.picture(audits["two-by-two"]["graded"], line(title, 200))))
    if as_json:
        shown = {"method": method.name, "testbed": testbed, "verdict": verdict, "accused_by": accused, "audits": audits}
        print(json.dumps(shown))
    else:
        show(problem.causal, audits, verdict, accused)


def read(method: Path, problem: Problem) -> dict[str, str]:
    """The files of a method's folder, checked. Raises BadMethod."""
    if not method.is_dir():
        raise snapshots.BadMethod(f"{method}: no such folder; a method is a folder with method.py and card.toml")
    try:
        snapshots.validate(files := read_method(method), problem.entries)
    except UnicodeDecodeError as error:
        raise snapshots.BadMethod(f"{method}: not text ({error.reason})") from error
    return files


def parse(secret: str | None) -> bytes | None:
    """Raises BadMethod for what is not hexadecimal."""
    try:
        return None if secret is None else bytes.fromhex(secret)
    except ValueError as error:
        raise snapshots.BadMethod("--secret: not hexadecimal; give 64 hex digits, or leave it out") from error


def run(testbed: str, method: Path, vault: Vault, sandbox: str, slots: int) -> dict[str, dict[str, Any]]:
    """All causal audits of one method on fresh sealed instances; progress on standard error."""
    problem = base.load(testbed, vault.draws)
    boxed = Sandboxed(method, sandbox)  # type: ignore[arg-type]
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("drawing instances", total=causal.sandboxes(problem, 10) + 3)
        with workers.pool(slots) as pool:
            yards = {s: pool.submit(workers.prepare_yardstick, testbed, vault, s) for s in ("select", "final")}
            seeds = range(PRACTISED)
            references = pool.submit(workers.prepare_practice, testbed, seeds)
            yard, other = yards["select"].result(), yards["final"].result()
            refs = [references.result()[s] for s in seeds]
        public = [problem.practice(s) for s in seeds]
        practice = Yardstick(public, join([r.floor for r in refs]), join([r.ceiling for r in refs]))
        elsewhere = Yardstick(
            other.instances[:ELSEWHERE], graded.first(other.floor, ELSEWHERE), graded.first(other.ceiling, ELSEWHERE)
        )

        def say(cell: str) -> None:
            progress.update(task, advance=1, description=cell)

        ran = causal.measure(problem, boxed, yard, vault.secret, slots, say=say)
        drawn = []
        for name, y in (("practice", practice), ("elsewhere", elsewhere)):
            real = run_cells(problem, boxed, y.instances, REAL, vault.secret, slots, say)["real"]
            drawn.append(Drawn(name, causal.outcomes(problem, real), y.floor, y.ceiling))
    return causal.judge(problem, ran, yard, drawn[0], drawn[1:])


def show(causes: Causal, audits: Mapping[str, Mapping[str, Any]], verdict: str, accused: list[str]) -> None:
    """The two-by-two as a table, the graded ablations as bars, and every verdict with its reason."""
    console, judged = Console(markup=False, soft_wrap=True), audits["two-by-two"]
    if "cells" in judged:
        needed, other, more = causes.needed, causes.other, causes.verdicts.sign is not None
        wanted = ("accuracy", "recovered", "orientation_free")[: 2 + more]
        heads = ("accuracy", "gap recovered [95%]", "orientation-free")[: 2 + more]
        table = Table(needed.name, other.name, *heads, box=None)
        names = {"real": (needed.there, other.there), other.cell: (needed.there, other.gone),
                 needed.cell: (needed.gone, other.there), "both": (needed.gone, other.gone)}  # fmt: skip
        for name, as_run in names.items():
            cell = judged["cells"][name]
            table.add_row(*as_run, *(_short(cell[k]) if cell[k] else cell["code"] for k in wanted))
        console.print(table)
    for name, effect in judged.get("effects", {}).items():
        console.print(f"  {name.replace('_', ' '):18} {_short(effect)}")
    if "graded" in judged:
        for what in dict.fromkeys(r["what"] for r in judged["graded"]):
            console.print(f"  {what:18} {graded.sparkline(judged['graded'], what)}  0, 25, 50, 75, 100% taken away")
    for name, a in audits.items():
        style = STYLE["fail"] if name in accused else STYLE.get(a["verdict"], "")
        console.print(f"{line(a['verdict'], 40):32} {name:12} {line(a['why'], 300)}", style=style)
    told = f"accused by {', '.join(accused)}" if accused else verdict
    console.print(f"verdict: {told}", style="bold red" if accused else "bold")


def _short(score: Mapping[str, Any]) -> str:
    return str(Score(**score))
