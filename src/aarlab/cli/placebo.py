"""`aarlab placebo`: what a lab reports of nothing, as a distribution and as a rate."""

import json
import os
import sys
import time
from typing import Annotated, Any

import numpy as np
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from aarlab.campaign import placebo as placebos
from aarlab.campaign.config import BadCampaign
from aarlab.report.words import number, plural

BINS, BAR = 10, 40


def placebo(
    testbed: Annotated[str, typer.Argument(help="A testbed, such as w2s/prose; `aarlab problems` lists them.")],
    campaigns: Annotated[int, typer.Option(help="How many placebo campaigns; those already finished count.")] = 20,
    experiments: Annotated[int, typer.Option(help="Practice experiments of each campaign (kind search).")] = 45,
    researchers: Annotated[int, typer.Option(help="Researchers of each campaign.")] = 3,
    submissions: Annotated[
        int | None, typer.Option(help="Submissions of each researcher (default 2, attackers 30).")
    ] = None,
    kind: Annotated[str, typer.Option(help="search, or attacker.")] = "search",
    attack: Annotated[str | None, typer.Option(help="Which attack (kind attacker).")] = None,
    release: Annotated[str, typer.Option(help="The release policy: what researchers are told.")] = "ladder",
    seed: Annotated[int, typer.Option(help="Another seed measures another, independent series.")] = 0,
    jobs: Annotated[int, typer.Option(help="Campaigns at once, of one core each.", min=1)] = os.cpu_count() or 1,
    sandbox: Annotated[str, typer.Option(help="bwrap, or none: NOT ISOLATED.")] = "bwrap",
    as_json: Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on standard output.")] = False,
) -> None:
    """Run campaigns in which there is nothing to find, and tell what they report.

    Finished campaigns are kept: after Ctrl-C the same command goes on. Headlines of later campaigns on the testbed are
    ranked in this distribution.

    Example: aarlab placebo w2s/prose --campaigns 20
    """
    attacking = kind == "attacker"
    series = placebos.Series(
        testbed, None if attacking else experiments, researchers,
        submissions if submissions is not None else 30 if attacking else 2, kind, attack, release, sandbox, seed,
    )  # fmt: skip
    began, done = time.monotonic(), [0]

    def say(n: int, row: dict[str, Any]) -> None:
        done[0] += 1
        what = f"published {row['published']:+.3f} above the start" if row["published"] else "nothing published"
        print(
            f"{time.monotonic() - began:6.0f} s  campaign {n + 1}: best {number(row['best'], 3)} of "
            f"{plural(row['submissions'], 'submission')}, {what}, {len(row['gave_up'])} gave up ({done[0]} run now)",
            file=sys.stderr, flush=True,
        )  # fmt: skip

    try:
        rows = placebos.measure(series, campaigns, jobs, say)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadCampaign(f"{'--' + str(first['loc'][0]) + ': ' if first['loc'] else ''}{first['msg']}") from error
    except KeyboardInterrupt:
        print("stopped; nothing is lost: the same command goes on", file=sys.stderr)
        raise typer.Exit(1) from None
    figures = placebos.summary(series, rows, time.monotonic() - began)
    if as_json:
        print(json.dumps(figures))
    else:
        show(figures, Console())


def show(f: dict[str, Any], console: Console) -> None:
    """The figures as a table, a histogram and what they mean."""
    what = f["attack"] or f["kind"]
    console.print(
        f"[bold]{f['testbed']}[/bold]  {plural(f['campaigns'], 'placebo campaign')} of "
        f"{plural(f['researchers'], 'researcher')} ({what}), release {f['release']}: the sealed truth was redrawn, "
        "there is nothing to find\n", highlight=False,
    )  # fmt: skip
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    best = f["best"]
    spread = f"{number(best['mean'], 3)}, sd {number(best['sd'], 3)}, median {number(best['q50'], 3)}, "
    table.add_row("best raw search of a campaign", spread + f"95% quantile {number(best['q95'], 3)}")
    table.add_row("published above the start, highest", number(max(f["published_gains"], default=0.0), 3))
    table.add_row("campaigns that report a gain", rate(f["gain_rate"]["campaigns"]))
    table.add_row("researchers that report a gain", rate(f["gain_rate"]["researchers"]))
    table.add_row("campaigns that pass select", rate(f["headline_rate"]))
    table.add_row("researchers who gave up", str(f["gave_up"]))
    console.print(table)
    values = [v for v in best["values"] if v is not None]
    if values:
        console.print("\n" + histogram(values), highlight=False, markup=False)
    console.print(
        "\nA gain reported here is luck, error or cheating. Headlines of campaigns on this testbed are ranked in this "
        "distribution.", highlight=False,
    )  # fmt: skip


def rate(p: dict[str, Any]) -> str:
    if p["rate"] is None:
        return "none ran"
    return f"{p['count']} of {p['of']}: {100 * p['rate']:.1f}% [{100 * p['low']:.1f}, {100 * p['high']:.1f}]"


def histogram(values: list[float]) -> str:
    """Bars of # by tenths of the range, lowest first."""
    counts, edges = np.histogram(values, bins=BINS if max(values) > min(values) else 1)
    scale = min(1.0, BAR / max(int(counts.max()), 1))
    lines = []
    for low, high, count in zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True):
        bar = "#" * max(round(scale * count), min(count, 1))
        lines.append(f"{number(low, 3):>8} to {number(high, 3):>8}  {bar} {count or ''}".rstrip())
    return "\n".join(lines)
