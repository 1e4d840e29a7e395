"""Running a method on instances from which something was taken away: a *cell* is one way of taking.

Sandboxes of all cells look alike: as many tasks in each, fresh files, no times or links that tell one from another;
real and ablated instances never share a sandbox, so a method has nothing to compare.
"""

import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aarlab.kit.stats import Outcomes, join
from aarlab.kit.task import W2STask
from aarlab.lab.execution import SEALED_SECONDS, execute
from aarlab.problems.base import Instance, Problem
from aarlab.sandbox.box import Kind

Array = NDArray[np.float64]
BATCH = 5  # instances of one cell that one sandbox takes
TEACHER = "permuted-teacher"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Cell:
    """steps: ablations and their shares, what is done to the student before what is done to the teacher; draws: how
    often the teacher is permuted anew; instances: how many of them are used, from the first on."""

    name: str
    steps: tuple[tuple[str, float], ...] = ()
    draws: int = 1
    instances: int | None = None


@dataclass(frozen=True)
class Ran:
    """A method in one cell. code: "ok" or the first failure, of which `message` says more; outputs[draw][instance]:
    (n,) P(y = 1); instances: as they were ablated (their truth may carry flags)."""

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


class Method:
    """Whatever answers a batch of tasks of one cell: a code, a message and one array a task."""

    def __call__(self, problem: Problem, instances: Sequence[Instance]) -> tuple[str, str, Sequence[Array]]:
        raise NotImplementedError


@dataclass(frozen=True)
class Sandboxed(Method):
    """A method's folder, run in a fresh sandbox of the kind given. Nothing that comes back is believed unchecked."""

    folder: Path
    kind: Kind = "bwrap"
    spent: Callable[[float], None] = lambda _: None  # is told the CPU-seconds of every run
    halt: threading.Event | None = None  # set: Halted is raised

    def __call__(self, problem: Problem, instances: Sequence[Instance]) -> tuple[str, str, Sequence[Array]]:
        done = execute(problem, self.folder, instances, self.kind, SEALED_SECONDS * len(instances), self.halt)
        self.spent(done.cpu_seconds)
        return done.code, done.message, done.outputs


@dataclass(frozen=True)
class Trusted(Method):
    """A function of our own, run in this process. Never for what a researcher wrote."""

    run: Callable[[W2STask], Array]

    def __call__(self, problem: Problem, instances: Sequence[Instance]) -> tuple[str, str, Sequence[Array]]:
        try:
            return "ok", "", [np.asarray(self.run(self._load(i)), np.float64) for i in instances]
        except Exception as error:  # as a sandbox would: a failure of the method is a result
            return "raised", f"{type(error).__name__}: {error}", []

    @staticmethod
    def _load(instance: Instance) -> W2STask:
        """With the handle of the base, so that its representation is computed once for all permutations."""
        task = W2STask.load(instance.task)
        base = instance.task / "base"
        return replace(task, student=replace(task.student, folder=base.resolve())) if base.is_symlink() else task


def run_cells(
    problem: Problem, method: Method, instances: Sequence[Instance], cells: Sequence[Cell], secret: bytes,
    threads: int = 1, say: Say = lambda _: None,
) -> dict[str, Ran]:  # fmt: skip
    """Run a method in every cell; ablations are seeded by the secret. A cell that fails has no outputs."""
    with tempfile.TemporaryDirectory(prefix="aar-audit-") as folder, ThreadPoolExecutor(threads) as pool:
        bases = _bases(problem, instances, cells, secret, Path(folder), pool)
        jobs = [
            (cell, draw, range(first, min(first + BATCH, count)))
            for cell in cells
            for count in [min(cell.instances or len(instances), len(instances))]
            for draw in range(cell.draws)
            for first in range(0, count, BATCH)
        ]

        def one(number: int) -> tuple[str, str, Sequence[Array]]:
            cell, draw, part = jobs[number]
            home = Path(folder) / f"job-{number}"
            ready = [
                _ready(problem, bases[_student_steps(cell), i], instances[i], cell, draw, secret, home / str(i), method)
                for i in part
            ]
            try:
                return method(problem, ready)
            finally:
                shutil.rmtree(home)
                say(cell.name)

        done = list(pool.map(one, range(len(jobs))))
        ran = {}
        for cell in cells:
            mine = [(job, result) for job, result in zip(jobs, done, strict=True) if job[0] is cell]
            failed = next((result for _, result in mine if result[0] != "ok"), None)
            outputs: list[list[Array]] = [[] for _ in range(cell.draws)]
            for (_, draw, _), (_, _, values) in mine:
                outputs[draw] += values
            used = range(min(cell.instances or len(instances), len(instances)))
            seen = [bases[_student_steps(cell), i] for i in used]
            if failed:
                ran[cell.name] = Ran(failed[0], failed[1], [], seen)
            else:
                ran[cell.name] = Ran("ok", "", outputs, seen)
        return ran


def _student_steps(cell: Cell) -> tuple[tuple[str, float], ...]:
    return tuple(s for s in cell.steps if s[0] != TEACHER)


def _bases(
    problem: Problem, instances: Sequence[Instance], cells: Sequence[Cell], secret: bytes, folder: Path,
    pool: ThreadPoolExecutor,
) -> Mapping[tuple[tuple[tuple[str, float], ...], int], Instance]:  # fmt: skip
    """Every instance after what is done to the student and the rows, made once for all permutations of the teacher."""
    wanted = sorted({
        (_student_steps(c), i) for c in cells for i in range(min(c.instances or len(instances), len(instances)))
    })  # fmt: skip
    makers = {a.name: a for a in problem.ablations}

    def make(number: int) -> Instance:
        steps, i = wanted[number]
        made = instances[i]
        for n, (name, share) in enumerate(steps):
            seed = _seed(secret, name, "" if name == "scrambled-mark" else instances[i].key)
            made = makers[name].apply(made, folder / f"base-{number}-{n}", seed, share)
        level = folder / f"base-{number}"
        level.mkdir()
        for path in made.task.iterdir():
            shutil.copyfile(path, level / path.name)
            os.utime(level / path.name, (0, 0))
        for n in range(len(steps)):
            shutil.rmtree(folder / f"base-{number}-{n}")
        return replace(made, task=level)

    return dict(zip(wanted, pool.map(make, range(len(wanted))), strict=True))


def _ready(
    problem: Problem, base: Instance, origin: Instance, cell: Cell, draw: int, secret: bytes, home: Path, method: Method
) -> Instance:
    """The task folder that a sandbox is given: links to the base's arrays; what the teacher says, written afresh."""
    home.mkdir(parents=True)
    made = base
    for name, share in cell.steps:
        if name == TEACHER:
            maker = next(a for a in problem.ablations if a.name == name)
            made = maker.apply(made, home / "ablated", _seed(secret, f"{name}/{draw}", origin.key), share)
    task = home / "task"
    task.mkdir()
    for path in made.task.iterdir():
        if path.name.endswith((".weak.npy", ".json")):
            shutil.copyfile(path, task / path.name)
            os.utime(task / path.name, (0, 0))
        else:
            os.link(path, task / path.name)
    if (home / "ablated").exists():
        shutil.rmtree(home / "ablated")
    if isinstance(method, Trusted):
        (task / "base").symlink_to(base.task)
    return replace(made, task=task)


def _seed(secret: bytes, *what: str) -> int:
    return int.from_bytes(hashlib.sha256("/".join(["aarlab audit", *what]).encode() + secret).digest()[:8], "big")
