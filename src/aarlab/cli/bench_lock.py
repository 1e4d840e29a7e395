"""`aarlab bench lock`: what sealed runs, slots, sandboxes and the signed record cost, as a share of experiment time.

The same experiments are run twice, in rounds, taking turns at who goes first. *Locked*: asked for over a researcher's
socket, stored as a snapshot, run in a slot in a fresh bubblewrap sandbox under limits and watch, scored, journalled in
the ledger, whose head is signed and published once a round. *Plain*: what anybody would do without a lab: the method's
file and the instances handed to a Python process of their own, its numbers scored. Both start one process an experiment
(one an instance where the run is sealed), so that starting Python and importing the kit is no part of the cost.

One at a time on one core; drawing sealed sets, floors and ceilings are the yardstick's cost and not the lock's.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from scipy import stats

from aarlab.campaign import run
from aarlab.campaign.config import Config
from aarlab.kit import zoo
from aarlab.kit.client import Client
from aarlab.kit.execute import check
from aarlab.kit.stats import Score, join
from aarlab.lab import snapshots
from aarlab.lab.release import Known, answer
from aarlab.lab.scoring import INSTANCES
from aarlab.lab.server import Server
from aarlab.lab.service import Lab
from aarlab.problems import base
from aarlab.problems.base import Instance, Problem
from aarlab.sandbox.box import ENVIRONMENT
from aarlab.sandbox.mounts import PACKAGE
from aarlab.sandbox.probe import probe

Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on standard output.")]
SEEDS = range(5)  # public instances of one practice experiment
KINDS = ("practice", "sealed")


@dataclass(frozen=True)
class Cost:
    """Seconds of wall and of CPU (this process and all that it has started and ended)."""

    wall: float
    cpu: float

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.wall + other.wall, self.cpu + other.cpu)


def lock(
    testbed: Annotated[str, typer.Argument()] = "w2s/prose",
    rounds: Annotated[int, typer.Option(min=2, help="Pairs of rounds.")] = 8,
    experiments: Annotated[int, typer.Option(min=1, help="Practice experiments a round, beside one sealed run.")] = 4,
    as_json: Json = False,
) -> None:
    """What the locks cost: the same experiments in the lab and as plain processes, in turns, with 95% intervals.

    Example: aarlab bench lock w2s/prose --json
    """
    with tempfile.TemporaryDirectory(prefix="aarlab-bench-") as folder, _open(testbed, Path(folder)) as (lab, client):
        methods = [zoo.BASELINES[name] for name in lab.problem.baselines]
        found: list[dict[str, Mapping[str, Cost]]] = []
        told: list[list[Any]] = []
        for n in range(-1, rounds):  # the first fills caches on both sides and is thrown away
            work = [
                {"method.py": zoo.source(c), "card.toml": zoo.card(c, "bench", (0, 0, 0)), "notes.md": f"{n} {k}"}
                for k, c in enumerate((methods * experiments)[n % len(methods) :][: experiments + 1])
            ]
            sides = {"locked": lambda w=work: _locked(lab, client, w), "plain": lambda w=work: _plain(lab, w)}
            done = {name: sides[name]() for name in sorted(sides, reverse=n % 2 == 0)}
            if n >= 0:
                found.append({name: cost for name, (cost, _) in done.items()})
                told.append([done["locked"][1], done["plain"][1]])
            print(f"round {n + 1} of {rounds}", file=sys.stderr, flush=True)
    figures = {"testbed": testbed, "rounds": rounds, **_figures(found, experiments)}
    figures["same_results"] = all(np.allclose(a, b, atol=1e-9, rtol=0) for a, b in told)
    print(json.dumps(figures) if as_json else "\n".join(f"{k}: {v}" for k, v in figures.items()))


@contextmanager
def _open(testbed: str, folder: Path) -> Iterator[tuple[Lab, Client]]:
    """A lab with one slot and one researcher, who is this process."""
    os.environ["AARLAB_HOME"] = str(folder / "lab")  # its heads are nobody's record
    config = Config(problem=testbed, researchers=1, minutes=600, submissions=99, slots=1)
    run.start(config, folder / "campaign")
    ledger, state, vault = run.open_records(folder / "campaign")
    problem = base.load(testbed, vault.draws)
    with ExitStack() as stack:
        stack.callback(ledger.close)
        lab = Lab(
            folder / "campaign", problem, ledger, vault, state, config.budget, config.sandbox, config.slots,
            probe(config.sandbox).startup_cpu_seconds,
        )  # fmt: skip
        stack.callback(lab.close)
        print("drawing the instances", file=sys.stderr, flush=True)
        lab.prepared(lab.search_yard(), {s: problem.references(problem.practice(s)) for s in SEEDS})
        lab.publish_baseline()
        lab.begin(config.names)
        door = stack.enter_context(Server(lab, config.names))
        yield lab, Client(str(door.path("r1")))


def _locked(lab: Lab, client: Client, work: Sequence[dict[str, str]]) -> tuple[dict[str, Cost], list[float]]:
    """All but the last as practice, the last as a submission that is judged; the claims and the raw score."""
    told: list[float] = []

    def practise() -> None:
        told.extend(client.practice(files, list(SEEDS))["claim"]["mean"] for files in work[:-1])
        lab.tick()

    def judge() -> None:
        submission = lab.state.submissions[client.submit(work[-1])["submission"]]
        yard = lab.search_yard()
        scored = lab.sealed(submission, yard)
        assert scored.outcomes is not None, scored.code
        score = yard.score(lab.problem, scored.outcomes)
        known = Known(lab.state.published, yard.unit)
        release = answer("ladder", lab.vault.secret, known, scored.outcomes, score, scored.outcomes)
        lab.log(
            "judged", id=submission.id, status=scored.code, draw=0, improved=release.improved,
            released=release.published, z=release.z, search=score.asdict(), elapsed=round(lab.elapsed, 3),
        )  # fmt: skip
        told.append(_mean(score))

    return {"practice": _measure(practise), "sealed": _measure(judge)}, told


def _plain(lab: Lab, work: Sequence[dict[str, str]]) -> tuple[dict[str, Cost], list[float]]:
    """The same without the lab: a plain process an experiment, an instance where it would be sealed."""
    told: list[float] = []
    problem, yard = lab.problem, lab.search_yard()
    practice = [problem.practice(s) for s in SEEDS]
    references = [problem.references(i) for i in practice]
    floor, ceiling = join([r.floor for r in references]), join([r.ceiling for r in references])

    def practise() -> None:
        for files in work[:-1]:
            outputs = _process(problem, files, practice)
            outcomes = join([problem.score(i, o) for i, o in zip(practice, outputs, strict=True)])
            told.append(_mean(problem.gap(outcomes, floor, ceiling)))

    def judge() -> None:
        outputs = [_process(problem, work[-1], [i])[0] for i in yard.instances]
        outcomes = join([problem.score(i, o) for i, o in zip(yard.instances, outputs, strict=True)])
        told.append(_mean(yard.score(problem, outcomes)))

    return {"practice": _measure(practise), "sealed": _measure(judge)}, told


def _process(
    problem: Problem, files: Mapping[str, str], instances: Sequence[Instance]
) -> list[np.ndarray[Any, np.dtype[np.float64]]]:
    """One plain Python process over a method and instances: no walls, limits, watch or record."""
    rows = [problem.output(i).shape[0] for i in instances]
    with tempfile.TemporaryDirectory() as folder:
        for name, text in snapshots.bare(files).items():
            (Path(folder) / name).write_text(text)
        line = [sys.executable, "-m", "aarlab.kit.execute", folder, *(str(i.task) for i in instances)]
        env = {**ENVIRONMENT, "PATH": os.environ["PATH"], "HOME": folder, "PYTHONPATH": str(PACKAGE.parent)}
        out = subprocess.run(line, env=env, cwd=folder, capture_output=True, check=True).stdout
    parts = np.split(np.frombuffer(out, "<f8"), np.cumsum(rows)[:-1])
    return [check(part, n) for part, n in zip(parts, rows, strict=True)]


def _measure(work: Callable[[], None]) -> Cost:
    wall, cpu = time.perf_counter(), _cpu()
    work()
    return Cost(time.perf_counter() - wall, _cpu() - cpu)


def _cpu() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in usages)


def _figures(found: Sequence[Mapping[str, Mapping[str, Cost]]], experiments: int) -> dict[str, Any]:
    """Shares (locked - plain) / plain with their intervals over rounds, and the seconds behind them."""
    figures: dict[str, Any] = {}
    runs = {"practice": experiments, "sealed": INSTANCES["search"]}
    for kind in ("all", *KINDS):
        kinds = KINDS if kind == "all" else (kind,)
        sides = {
            side: [sum((r[side][k] for k in kinds), Cost(0.0, 0.0)) for r in found] for side in ("locked", "plain")
        }
        pairs = list(zip(sides["locked"], sides["plain"], strict=True))
        processes = sum(runs[k] for k in kinds)
        figures[kind] = {
            "share": _score([a.wall / b.wall - 1 for a, b in pairs], processes).asdict(),
            "cpu_share": _score([a.cpu / b.cpu - 1 for a, b in pairs], processes).asdict(),
            "plain_seconds": round(statistics.mean(b.wall for _, b in pairs) / processes, 3),
            "locked_seconds": round(statistics.mean(a.wall for a, _ in pairs) / processes, 3),
            "processes": processes,
        }
    return {"share": figures["all"]["share"], **figures}


def _score(values: Sequence[float], n: int) -> Score:
    """Mean over rounds with Student's interval; n: processes a round."""
    mean, se = statistics.mean(values), statistics.stdev(values) / len(values) ** 0.5
    half = float(stats.t.ppf(0.975, len(values) - 1)) * se
    return Score(mean, se, mean - half, mean + half, len(values), n)


def _mean(score: Score) -> float:
    return float("nan") if score.mean is None else score.mean
