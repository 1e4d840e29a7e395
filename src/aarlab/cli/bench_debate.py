"""`aarlab bench debate`: does debate help, and against what? The analysis of the testbeds of debate, in a minute."""

import json
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import typer

from aarlab.campaign.config import BadCampaign
from aarlab.problems import base
from aarlab.problems.debate import Debate, analysis
from aarlab.problems.debate.check import INSTANCES, SECRET
from aarlab.problems.debate.replay import lab_debates
from aarlab.report import replay as pages

TESTBEDS = "debate/digits,debate/digits-6"
WEAK = 5  # instances of the first testbed that are judged by a weaker judge besides
Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on standard output.")]


def debate(
    testbeds: Annotated[str, typer.Option(help="Testbeds of debate, separated by commas.")] = TESTBEDS,
    instances: Annotated[int, typer.Option(help="Instances of each, with a judge of its own: 2 to 10.")] = INSTANCES,
    replay: Annotated[Path | None, typer.Option(help="Write single debates to this HTML file, to be watched.")] = None,
    as_json: Json = False,
) -> None:
    """Floors, honest play, matched controls, calibration and ratings of the testbeds of debate."""
    if not 2 <= instances <= INSTANCES:
        raise BadCampaign(f"--instances: 2 to {INSTANCES}, not {instances}")
    if replay is not None and not replay.absolute().parent.is_dir():
        raise BadCampaign(f"--replay {replay}: no such folder")
    began, names = time.monotonic(), [t for t in testbeds.split(",") if t]
    for name in names:
        if not isinstance(base.load(name), Debate):
            raise BadCampaign(f"--testbeds {name}: not a testbed of debate")
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        spent = sum(pool.map(_draw, names))
        jobs = [pool.submit(_judged, name, i) for name in names for i in range(instances)]
        weak = pool.submit(_weaker, names[0], min(WEAK, instances))
        parts = [job.result() for job in jobs]
        robust, weak_cpu = weak.result()
    spent += weak_cpu + sum(cpu for _, cpu in parts)
    tables = []
    for n, name in enumerate(names):
        mine = [part for part, _ in parts[n * instances : (n + 1) * instances]]
        tables.append(analysis.table(_open(name), mine))
    if replay is not None:
        vault = analysis.vault(_open(names[0]))
        games = lab_debates(vault.sealed("final", 0, SECRET), vault.question)
        pages.write(replay, f"Debates of {names[0]}", games)
    figures = {
        "testbeds": tables, "weaker_judge": {"testbed": names[0], **robust},
        "wall_seconds": round(time.monotonic() - began, 1), "cpu_seconds": round(spent, 1),
    }  # fmt: skip
    if as_json:
        print(json.dumps(figures))
        return
    for table in tables:
        print(table["says"])
        for who, score in table["honest_against_its_worst"].items():
            print(f"  honest {who:10s} {score['mean']:.3f} [{score['low']:.3f}, {score['high']:.3f}] against its worst")
        print(f"  consultancy {table['consultancy']['mean']['mean']:.3f}; ceiling {table['ceiling']['mean']:.3f}")
        elo = ", ".join(f"{who} {e['mean']:+.0f}" for who, e in table["ratings"]["elo"].items())
        print(f"  Elo ({table['ratings']['model']}): {elo}")
    print(f"{figures['wall_seconds']} s, {figures['cpu_seconds']} CPU-s")


def _open(name: str) -> Debate:
    problem = base.load(name)
    assert isinstance(problem, Debate)
    return problem


def _draw(name: str) -> float:
    """Train the judges of a testbed's instances, if that was not done before; CPU-seconds."""
    began = time.process_time()
    analysis.vault(_open(name)).sealed("final", 0, SECRET)
    return time.process_time() - began


def _judged(name: str, number: int) -> tuple[dict[str, Any], float]:
    began = time.process_time()
    return analysis.judged(_open(name), number), time.process_time() - began


def _weaker(name: str, instances: int) -> tuple[dict[str, Any], float]:
    began = time.process_time()
    return analysis.weaker(_open(name), range(instances)), time.process_time() - began
