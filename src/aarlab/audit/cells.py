"""Running a method on instances from which something was taken away: a *cell* is one way of taking.

Sandboxes of all cells look alike: as many tasks in each, fresh files, no times or links that tell one from another;
real and ablated instances never share a sandbox, so a method has nothing to compare.
"""

import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aarlab.kit.stats import Outcomes, join
from aarlab.kit.tasks import LOADERS
from aarlab.lab.execution import SEALED_SECONDS, Run, execute
from aarlab.problems.base import Ablation, Instance, Problem
from aarlab.sandbox.box import Kind

Array = NDArray[np.float64]
BATCH = 5  # instances of one cell that one sandbox takes
Say = Callable[[str], None]
Steps = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Cell:
    """steps: ablations and their shares, that of the problem's second factor (`causal.other`) last; draws: how often
    that one is drawn anew; instances: how many of them are used, from the first on."""

    name: str
    steps: Steps = ()
    draws: int = 1
    instances: int | None = None


@dataclass(frozen=True)
class Ran:
    """A method in one cell. code: "ok" or the first failure, of which `message` says more; outputs[draw][instance]:
    (n,) what it said; instances: as they were ablated (their truth may carry flags)."""

    code: str
    message: str
    outputs: Sequence[Sequence[Array]]
    instances: Sequence[Instance]

    def outcomes(self, problem: Problem, oriented: bool = False) -> Outcomes:
        """Row by row, the mean over the draws; `oriented`: a draw whose accuracy on an instance is below 1/2 is turned
        around, so that its accuracy is max(a, 1 - a)."""
        per_draw = []
        for draw in self.outputs:
            parts = [problem.score(i, o) for i, o in zip(self.instances, draw, strict=True)]
            if oriented:
                parts = [replace(p, value=1 - p.value) if p.value.mean() < 0.5 else p for p in parts]
            per_draw.append(join(parts))
        return replace(per_draw[0], value=np.mean([o.value for o in per_draw], axis=0))


@dataclass(frozen=True)
class Sandboxed:
    """A method's folder, to be run in fresh sandboxes of the kind given. What comes back is not believed unchecked."""

    folder: Path
    kind: Kind = "bwrap"
    spent: Callable[[float], None] = lambda _: None  # is told the CPU-seconds of every run
    halt: threading.Event | None = None  # set: Halted is raised


@dataclass(frozen=True)
class Staged:
    """Instances with everything done to them but what is drawn anew; bases[(steps, instance number)]."""

    problem: Problem
    instances: Sequence[Instance]
    cells: Sequence[Cell]
    secret: bytes
    folder: Path
    bases: Mapping[tuple[Steps, int], Instance]

    def used(self, cell: Cell) -> range:
        return range(min(cell.instances or len(self.instances), len(self.instances)))

    def base(self, cell: Cell, i: int) -> Instance:
        return self.bases[_once(self.problem, cell), i]

    def redrawn(self, cell: Cell, i: int, draw: int, home: Path) -> Instance:
        """The base of a cell after what is drawn anew, if anything, in a folder under `home`."""
        made = self.base(cell, i)
        for name, share in cell.steps:
            if name == self.problem.causal.other.ablation:
                seed = _seed(self.secret, f"{name}/{draw}", self.instances[i].key)
                made = _makers(self.problem)[name].apply(made, home, seed, share)
        return made


@contextmanager
def staged(
    problem: Problem, instances: Sequence[Instance], cells: Sequence[Cell], secret: bytes, threads: int = 1,
    alike: bool = True,
) -> Iterator[Staged]:  # fmt: skip
    """Ablate instances, seeded by the secret, in a folder that lasts as long as the block. alike: all files are copies
    of one age, so that nothing tells an ablated base from another; needed for methods that are not our own."""
    with tempfile.TemporaryDirectory(prefix="aar-audit-") as name, ThreadPoolExecutor(threads) as pool:
        folder = Path(name)
        counts = [(c, min(c.instances or len(instances), len(instances))) for c in cells]
        wanted = sorted({(_once(problem, c), i) for c, count in counts for i in range(count)})

        def make(number: int) -> Instance:
            steps, i = wanted[number]
            made = instances[i]
            for n, (step, share) in enumerate(steps):
                maker = _makers(problem)[step]
                seed = _seed(secret, step, "" if maker.shared else instances[i].key)
                made = maker.apply(made, folder / f"base-{number}-{n}", seed, share)
            if not alike:
                return made
            level = folder / f"base-{number}"
            level.mkdir()
            for path in made.task.iterdir():
                shutil.copyfile(path, level / path.name)
                os.utime(level / path.name, (0, 0))
            for n in range(len(steps)):
                shutil.rmtree(folder / f"base-{number}-{n}")
            return replace(made, task=level)

        bases = dict(zip(wanted, pool.map(make, range(len(wanted))), strict=True))
        yield Staged(problem, instances, cells, secret, folder, bases)


def run_cells(
    problem: Problem, method: Sandboxed, instances: Sequence[Instance], cells: Sequence[Cell], secret: bytes,
    threads: int = 1, say: Say = lambda _: None,
) -> dict[str, Ran]:  # fmt: skip
    """Run a method in every cell, BATCH instances of one cell in a sandbox. A cell that fails has no outputs."""
    with staged(problem, instances, cells, secret, threads) as stage, ThreadPoolExecutor(threads) as pool:
        jobs = [
            (cell, draw, stage.used(cell)[first : first + BATCH])
            for cell in cells
            for draw in range(cell.draws)
            for first in range(0, len(stage.used(cell)), BATCH)
        ]

        def one(number: int) -> Run:
            cell, draw, part = jobs[number]
            home = stage.folder / f"job-{number}"
            ready = [_ready(stage, cell, i, draw, home / str(i)) for i in part]
            try:
                done = execute(problem, method.folder, ready, method.kind, SEALED_SECONDS * len(ready), method.halt)
            finally:
                shutil.rmtree(home)
            method.spent(done.cpu_seconds)
            say(cell.name)
            return done

        done = list(pool.map(one, range(len(jobs))))
        ran = {}
        for cell in cells:
            mine = [(job, run) for job, run in zip(jobs, done, strict=True) if job[0] is cell]
            failed = next((run for _, run in mine if run.code != "ok"), None)
            outputs: list[list[Array]] = [[] for _ in range(cell.draws)]
            for (_, draw, _), run in mine:
                outputs[draw] += run.outputs
            seen = [stage.base(cell, i) for i in stage.used(cell)]
            ran[cell.name] = Ran(failed.code, failed.message, [], seen) if failed else Ran("ok", "", outputs, seen)
        return ran


def run_trusted(
    stage: Staged, run: Callable[[Any], Array], load: Callable[[Path, Path], Any] | None = None
) -> dict[str, Ran]:
    """Run a function of our own on the tasks of every cell, in this process. Never for what a researcher wrote.

    load: opens a task folder, given that of its base besides, which holds the same but for what is drawn anew. Base
    after base, so that what is computed of a base alone can be kept for all draws.
    """
    opened = LOADERS[stage.problem.kind]
    said: dict[str, dict[tuple[int, int], Array]] = {c.name: {} for c in stage.cells}
    failed: dict[str, str] = {}
    for steps, i in stage.bases:
        for cell in stage.cells:
            if _once(stage.problem, cell) != steps or i not in stage.used(cell) or cell.name in failed:
                continue
            for draw in range(cell.draws):
                with tempfile.TemporaryDirectory(dir=stage.folder) as home:
                    folder = stage.redrawn(cell, i, draw, Path(home) / "ablated").task
                    task = load(folder, stage.bases[steps, i].task) if load else opened(folder)
                    try:
                        said[cell.name][draw, i] = np.asarray(run(task), np.float64)
                    except Exception as error:  # as a sandbox would: that a method fails is a result
                        failed[cell.name] = f"{type(error).__name__}: {error}"
                        break
    ran = {}
    for cell in stage.cells:
        seen = [stage.base(cell, i) for i in stage.used(cell)]
        if cell.name in failed:
            ran[cell.name] = Ran("raised", failed[cell.name], [], seen)
        else:
            outputs = [[said[cell.name][draw, i] for i in stage.used(cell)] for draw in range(cell.draws)]
            ran[cell.name] = Ran("ok", "", outputs, seen)
    return ran


def _ready(stage: Staged, cell: Cell, i: int, draw: int, home: Path) -> Instance:
    """The task folder that a sandbox is given: links to the base's arrays; copies of what may have been drawn anew."""
    anew = (*_makers(stage.problem)[stage.problem.causal.other.ablation].writes, ".json")
    task = home / "task"
    task.mkdir(parents=True)
    made = stage.redrawn(cell, i, draw, home / "ablated")
    for path in made.task.iterdir():
        if path.name.endswith(anew):
            shutil.copyfile(path, task / path.name)
            os.utime(task / path.name, (0, 0))
        else:
            os.link(path, task / path.name)
    shutil.rmtree(home / "ablated", ignore_errors=True)
    return replace(made, task=task)


def _once(problem: Problem, cell: Cell) -> Steps:
    """The steps of a cell that are done once for all draws."""
    return tuple(s for s in cell.steps if s[0] != problem.causal.other.ablation)


def _makers(problem: Problem) -> dict[str, Ablation]:
    return {a.name: a for a in problem.ablations}


def _seed(secret: bytes, *what: str) -> int:
    return int.from_bytes(hashlib.sha256("/".join(["aarlab audit", *what]).encode() + secret).digest()[:8], "big")
