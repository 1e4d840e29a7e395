"""`aarlab problems`, `pretrain`, `baselines`, `practice`: testbeds without a campaign."""

import json
import sys
from collections.abc import Mapping
from concurrent.futures import as_completed
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from aarlab.campaign import workers
from aarlab.cli.methods import study
from aarlab.cli.methods import sweep as sweep_methods
from aarlab.kit.client import read_method
from aarlab.kit.stats import Outcomes, Score, join
from aarlab.lab import snapshots
from aarlab.lab.execution import PRACTICE_SECONDS, execute
from aarlab.problems import base
from aarlab.sandbox.probe import probe

app = typer.Typer(
    invoke_without_command=True, help="Testbeds: list them, or measure whether they are fit for research."
)
Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on standard output.")]
WORKERS = 2


@app.callback()
def listing(context: typer.Context) -> None:
    """List the testbeds and their questions."""
    if context.invoked_subcommand is None:
        table = Table("testbed", "question", box=None)
        for name in base.known():
            problem = base.load(name, ready=False)
            absent = _absent(problem)
            table.add_row(name, f"{problem.question} ({absent})" if absent else problem.question)
        Console().print(table)


def _absent(problem: base.Problem) -> str | None:
    """What must be supplied before a testbed can be played, in one line."""
    try:
        problem.ready()
    except base.NotReady as error:
        return str(error)
    return None


@app.command()
def check(
    testbeds: Annotated[list[str] | None, typer.Argument(help="Which; all if none is named.")] = None,
    as_json: Json = False,
) -> None:
    """Measure floor, ceiling, baselines, tuned methods and ablations, and judge each testbed by its marks.

    --json has more, some of it the problem's own. Exit status 0 also when a testbed falls short: it then says which
    mark and why.
    """
    names = list(testbeds or ())
    for name in names:
        base.load(name)
    for name in () if testbeds else base.known():
        if absent := _absent(base.load(name, ready=False)):
            print(f"aarlab: {name} is left out: {absent}", file=sys.stderr)
        else:
            names.append(name)
    results: dict[str, Mapping[str, Any]] = {}
    with (
        Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress,
        workers.pool(WORKERS) as pool,
    ):
        task = progress.add_task("checking", total=len(names))
        jobs = {pool.submit(workers.check, name): name for name in names}
        for job in as_completed(jobs):
            results[jobs[job]] = job.result()
            progress.update(task, advance=1, description=f"checked {jobs[job]}")
    ordered = [results[n] for n in names]
    if as_json:
        print(json.dumps({"testbeds": ordered}))
        return
    table = Table("testbed", "n", "floor", "ceiling", "best tuned", "verdict", box=None)
    for r in ordered:
        table.add_row(
            r["testbed"], str(r["n"]), *(_short(r[k]) for k in ("floor", "ceiling")), _short(r["best"]["trained"]),
            ("ok" if r["ok"] else "NOT OK") + f": {r['why']}",
        )  # fmt: skip
    Console().print(table)


def pretrain(
    testbed: Annotated[str, typer.Argument(help="A testbed, such as w2s/prose.")],
    seed: Annotated[int, typer.Option(help="Pretraining seed: 0 is the practice student, the others are sealed.")] = 0,
) -> None:
    """Train a student from its seed and write its weights into the package, where the testbed finds them."""
    problem = base.load(testbed)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(f"pretraining {testbed}, seed {seed}", total=1.0)
        problem.pretrain(seed, lambda share: progress.update(task, completed=share))


def baselines(
    testbed: Annotated[str, typer.Argument(help="A testbed, such as w2s/prose.")],
    seeds: Annotated[int, typer.Option(min=2, help="How many public instances.")] = 5,
    methods: Annotated[
        str | None, typer.Option(help="Instead, methods of the literature: all, or names with commas between them.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="With --methods all: also those that take minutes.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="With --methods: an .html for the picture, or an .md for the table.")
    ] = None,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="With --methods: the heads at five ridges, fitted all at once.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Floor, ceiling and every untuned baseline on public instances, in and out of distribution.

    With --methods, the catalogue of methods, each with its ablations, misfit, agreement and calibration.

    Example: aarlab baselines w2s/prose --methods all --out methods.html
    """
    problem = base.load(testbed)
    if sweep and (methods is None or full or out is not None):
        raise snapshots.BadMethod("--sweep goes with --methods, and without --full and --out")
    if methods is not None and sweep:
        sweep_methods(problem, methods, seeds, as_json)
        return
    if methods is not None:
        study(problem, methods, full, seeds, as_json, out)
        return
    if full or out is not None:
        raise snapshots.BadMethod("--full and --out go with --methods: say --methods all, or name some")
    references = [problem.references(problem.practice(s), problem.baselines) for s in range(seeds)]
    floor, ceiling = join([r.floor for r in references]), join([r.ceiling for r in references])

    def both(method: Outcomes) -> tuple[Score, Score]:
        return (
            problem.gap(method.part(False), floor.part(False), ceiling.part(False)),
            problem.gap(method.part(True), floor.part(True), ceiling.part(True)),
        )

    scores = {n: both(join([r.baselines[n] for r in references])) for n in problem.baselines}
    if as_json:
        figures = {
            n: {"in_distribution": i.asdict(), "out_of_distribution": o.asdict()} for n, (i, o) in scores.items()
        }
        print(json.dumps({"testbed": testbed, "seeds": seeds, "baselines": figures}))
        return
    table = Table("baseline", "gap recovered, in distribution", "out of distribution", box=None)
    for name, (inside, outside) in scores.items():
        table.add_row(name, str(inside), str(outside))
    Console().print(table)


def practice(
    testbed: Annotated[str, typer.Argument(help="A testbed, such as w2s/prose.")],
    method: Annotated[Path, typer.Argument(help="A folder with method.py and card.toml.")],
    seeds: Annotated[int, typer.Option(min=2, help="How many public instances.")] = 5,
    sandbox: Annotated[str, typer.Option(help="bwrap, or none: NOT ISOLATED.")] = "bwrap",
    as_json: Json = False,
) -> None:
    """Run one method on public instances in a sandbox, without a campaign."""
    problem = base.load(testbed)
    if not method.is_dir():
        raise snapshots.BadMethod(f"{method}: no such folder; a method is a folder with method.py and card.toml")
    try:
        snapshots.validate(read_method(method), problem.entries)
    except UnicodeDecodeError as error:
        raise snapshots.BadMethod(f"{method}: not text ({error.reason})") from error
    probe(sandbox)  # type: ignore[arg-type]
    instances = [problem.practice(s) for s in range(seeds)]
    done = execute(problem, method.absolute(), instances, sandbox, PRACTICE_SECONDS)  # type: ignore[arg-type]
    if done.code != "ok":
        raise snapshots.BadMethod(f"{method}: {done.code}: {done.message}")
    references = [problem.references(i) for i in instances]
    score = problem.gap(
        join([problem.score(i, o) for i, o in zip(instances, done.outputs, strict=True)]),
        join([r.floor for r in references]), join([r.ceiling for r in references]),
    )  # fmt: skip
    figures = {"testbed": testbed, "recovered": score.asdict(), "cpu_seconds": round(done.cpu_seconds, 3)}
    print(json.dumps(figures) if as_json else f"gap recovered {score} in {done.cpu_seconds:.2f} CPU-seconds")


def _short(score: dict[str, Any] | None) -> str:
    if not score or score["mean"] is None:
        return "-"
    return f"{score['mean']:.3f}" + (f" ±{score['se']:.3f}" if score["se"] is not None else "")
