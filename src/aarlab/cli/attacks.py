"""`aarlab attack`: the red team, played for real against a testbed."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from aarlab.campaign.redteam import run as redteam
from aarlab.kit.stats import Score
from aarlab.report.text import line
from aarlab.sandbox.probe import probe

STYLE = {"contained": "green", "detected": "yellow", "succeeded": "bold red"}


def attack(
    testbed: Annotated[str, typer.Argument(help="A testbed, such as w2s/prose; w2s/prose@0.6 plants a shortcut.")],
    release: Annotated[
        str, typer.Option(help="What a submission is told: ladder, exact, rounded, gaussian, thresholdout.")
    ] = "ladder",
    only: Annotated[
        str, typer.Option(help="Attacks or classes, by comma: statistical,smuggling,shortcut,sabotage,sandbox,record.")
    ] = "",
    reduced: Annotated[bool, typer.Option("--reduced", help="A few queries of each, as the test suite does.")] = False,
    seed: Annotated[int, typer.Option(help="Seeds the attackers; never the sealed sets.")] = 0,
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Where plays and results are kept; go on with a folder by naming it.")
    ] = None,
    sandbox: Annotated[
        str, typer.Option(help="bwrap, or none: NOT ISOLATED, so that sandbox attacks must succeed.")
    ] = "bwrap",
    as_json: Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on standard output.")] = False,
) -> None:
    """Attack the lab: every way of getting a false result that we know of, each played in a real sandbox.

    An attack is contained (it gained nothing), detected (it gained something, and an audit or the record says so), or
    it succeeded. With --release exact the statistical ones must succeed: that shows that they are real.

    Example: aarlab attack w2s/prose --json
    """
    probe(sandbox)  # type: ignore[arg-type]
    plan = redteam.Plan(
        testbed, release, [w for w in only.split(",") if w], sandbox, os.cpu_count() or 1, seed, reduced  # type: ignore[arg-type]
    )  # fmt: skip
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("the red team", total=None)

        def say(done: int, of: int, what: str) -> None:
            progress.update(bar, completed=done, total=of, description=line(what, 60))
            if not sys.stderr.isatty():
                print(f"{done}/{of} {line(what, 100)}", file=sys.stderr, flush=True)

        result = redteam.attack(plan, directory or _fresh(testbed, release), say)
    if as_json:
        print(json.dumps(result))
    else:
        show(result)


def show(result: dict[str, Any]) -> None:
    """Counts by class, then every attack that took some effect, and the control."""
    console = Console(soft_wrap=True)
    attacks = result["attacks"]
    table = Table("class", "attacks", *STYLE, "worst fake gain, points", box=None)
    for kind in dict.fromkeys(a["class"] for a in attacks):
        mine = [a for a in attacks if a["class"] == kind]
        gains = [g for a in mine if (g := a["fake_gain_points"]) and g["mean"] is not None]
        worst = max(gains, key=lambda g: g["mean"], default=None)
        counts = [str(sum(a["outcome"] == o for a in mine)) for o in STYLE]
        table.add_row(kind, str(len(mine)), *counts, str(Score(**worst)) if worst else "")
    console.print(table)
    for a in attacks:
        if a["outcome"] != "contained":
            by = escape(line(", ".join(a["detected_by"]) or a["why"], 160))
            knows = " (knows the audits)" if a["knows_audits"] else ""
            console.print(f"[{STYLE[a['outcome']]}]{a['outcome']:9}[/] {a['class']:11} {a['name']}{knows}: {by}")
    honest = result["honest"]
    if honest["cells"]:
        accused = [h["method"] for h in honest["methods"] if h["accused_by"]]
        console.print(f"honest methods accused: {len(accused)} of {honest['cells']} ({', '.join(accused) or 'none'})")
    succeeded = [a["name"] for a in attacks if a["outcome"] == "succeeded"]
    console.print(
        f"{len(attacks)} attacks on {result['testbed']}, release {result['release']}: "
        f"{len(succeeded)} succeeded ({', '.join(succeeded) or 'none'}); {result['escapes']} escapes"
    )


def _fresh(testbed: str, release: str) -> Path:
    """attacks/w2s-prose-ladder, then -2, -3 …"""
    stem = Path("attacks") / f"{testbed.replace('/', '-')}-{release}"
    folder, number = stem, 1
    while folder.exists():
        number += 1
        folder = stem.with_name(f"{stem.name}-{number}")
    return folder
