"""`aarlab bench`: measurements that take longer than a test, by the commands that README quotes."""

import json
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

from aarlab.campaign import run as campaign
from aarlab.campaign.config import Config
from aarlab.cli import bench_audits, bench_ledger, bench_lock
from aarlab.kit import zoo
from aarlab.kit.stats import Score
from aarlab.lab.execution import PRACTICE_SECONDS, execute
from aarlab.problems import base

app = typer.Typer(no_args_is_help=True, help="Measurements, longer than tests.")
app.command("ledger")(bench_ledger.ledger)
app.command("audits")(bench_audits.audits)
app.command("lock")(bench_lock.lock)
Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on standard output.")]


@app.command()
def experiment(testbed: str = "w2s/prose", repeats: int = 5, as_json: Json = False) -> None:
    """CPU-seconds of one practice experiment: five instances, head only, features cached, in a fresh sandbox."""
    problem = base.load(testbed)
    instances = [problem.practice(s) for s in range(5)]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "method.py").write_text(zoo.source(zoo.BASELINES["naive_soft"]))
        runs = [execute(problem, Path(folder), instances, "bwrap", PRACTICE_SECONDS) for _ in range(repeats + 1)][1:]
    figures = {
        "testbed": testbed, "method": "naive_soft", "instances": 5, "repeats": repeats,
        "cpu_seconds": median(r.cpu_seconds for r in runs), "wall_seconds": median(r.seconds for r in runs),
        "codes": sorted({r.code for r in runs}),
    }  # fmt: skip
    print(json.dumps(figures) if as_json else "\n".join(f"{k}: {v}" for k, v in figures.items()))


@app.command("campaign")
def campaigns(testbed: str = "w2s/prose", seeds: str = "1-5", minutes: float = 3.0, as_json: Json = False) -> None:
    """Campaigns with several seeds: how often does the best method beat the comparator, with the interval above 0?"""
    first, _, last = seeds.partition("-")
    rows = []
    for seed in range(int(first), int(last or first) + 1):
        with tempfile.TemporaryDirectory(prefix="aarlab-bench-") as folder:
            config = Config(problem=testbed, minutes=minutes, seed=seed)
            campaign.start(config, Path(folder) / "campaign")
            began = time.monotonic()
            s = campaign.conduct(Path(folder) / "campaign")
        best = s["best"]
        beats = Score(**best["beats_comparator"]) if best and best["beats_comparator"] else None
        rows.append({
            "seed": seed, "experiments": s["experiments"], "submissions": s["submissions"],
            "lab_share": s["lab_share"], "wall_seconds": round(time.monotonic() - began, 1), "seconds": s["seconds"],
            "final": best["final"] if best else None, "comparator": s["comparator"],
            "beats_comparator": beats.asdict() if beats else None,
            "above": bool(beats and beats.low is not None and beats.low > 0),
        })  # fmt: skip
        if not as_json:
            print(json.dumps(rows[-1]), flush=True)
    if as_json:
        print(json.dumps({"testbed": testbed, "minutes": minutes, "campaigns": rows,
                          "above_comparator": sum(bool(r["above"]) for r in rows)}))  # fmt: skip
