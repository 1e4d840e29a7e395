"""Run a method on instances inside a fresh sandbox, and read back nothing but numbers."""

import json
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aarlab.kit.execute import CODES, Refused, check
from aarlab.lab import snapshots
from aarlab.problems.base import Instance, Problem
from aarlab.sandbox.box import Box, Kind, Limits
from aarlab.sandbox.process import run

# The fixed list: all that a researcher ever learns of a failed sealed run.
FAILURES = (*CODES, "time", "cpu", "memory", "processes", "output", "workspace", "crashed")
_BY_STATUS = {status: code for code, status in CODES.items()}

PRACTICE_SECONDS = 60.0
SEALED_SECONDS = 60.0
MAX_MESSAGE = 4000


class Halted(Exception):
    """The lab itself ended the run; nothing is known of the method."""


@dataclass(frozen=True)
class Run:
    """What came of one run. code: "ok" or one of FAILURES; outputs: one array an instance if ok; message: what went
    wrong, for practice only; text: everything it said (for the vault); seconds of wall and CPU."""

    code: str
    outputs: tuple[NDArray[np.float64], ...]
    message: str
    text: bytes
    seconds: float
    cpu_seconds: float


def limits(wall: float, output_bytes: int) -> Limits:
    return Limits(
        memory_mb=4096, cpu_seconds=int(wall) + 5, wall_seconds=wall, processes=32, file_mb=64,
        output_bytes=output_bytes, workspace_mb=64, workspace_files=1000,
    )  # fmt: skip


def execute(
    problem: Problem, method: Path, instances: Sequence[Instance], kind: Kind, wall: float,
    halt: threading.Event | None = None,
) -> Run:  # fmt: skip
    """Run the method folder's programs on the instances, one after another in one fresh sandbox of the kind given.

    The buffer that comes back is checked for length, finite values and bounds here, whatever the sandbox says of it.
    Raises Halted if `halt` was set before the run had ended.
    """
    if halt is not None and halt.is_set():
        raise Halted
    rows = [problem.output(i).shape[0] for i in instances]
    with tempfile.TemporaryDirectory(prefix="aar-method-") as folder:
        bare = Path(folder)
        bare.chmod(0o755)
        programs = {p.name: p.read_bytes().decode() for p in method.iterdir() if p.suffix == ".py"}
        for name, text in snapshots.bare(programs).items():
            (bare / name).write_bytes(text.encode())
        inside = {"/method": bare, **{f"/task/{i}": instance.task for i, instance in enumerate(instances)}}
        box = Box(kind=kind, read_only=inside)
        argv = [box.python, "-m", "aarlab.kit.execute", box.path("/method")]
        argv += [box.path(f"/task/{i}") for i in range(len(instances))]
        done = run(box, argv, limits(wall, 8 * sum(rows)), stop=halt)
    code: str = done.code
    if code == "stopped":
        raise Halted
    said = _last_json(done.stderr_tail)
    if code == "crashed" and done.rc in _BY_STATUS:
        code = _BY_STATUS[done.rc]
    message = said.get("message")
    message = message[:MAX_MESSAGE] if isinstance(message, str) and message else _explain(code, wall)
    outputs: list[NDArray[np.float64]] = []
    if code == "ok":
        try:
            values = np.frombuffer(done.stdout, dtype="<f8")
            if len(values) != sum(rows):
                raise Refused("wrong_shape", f"{len(values)} values came back, {sum(rows)} were expected")
            outputs = [check(part, n) for part, n in zip(np.split(values, np.cumsum(rows)[:-1]), rows, strict=True)]
        except Refused as refusal:
            code, message = refusal.code, str(refusal)
        except ValueError as error:  # a buffer that is no whole number of values
            code, message = "wrong_shape", str(error)
    return Run(code, tuple(outputs), message, done.stderr_tail, done.wall_seconds, done.cpu_seconds)


def _last_json(text: bytes) -> dict[str, Any]:
    """The runner's last line, which explains and is never believed."""
    try:
        said = json.loads(text.strip().splitlines()[-1])
    except (IndexError, ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _explain(code: str, wall: float) -> str:
    return {
        "time": f"still running after {wall:g} s; the whole process tree was killed",
        "cpu": "used up its CPU time",
        "memory": "asked for more memory than the sandbox gives",
        "processes": "started more processes than the sandbox allows",
        "output": "wrote more output than predictions need",
        "workspace": "filled its workspace",
        "crashed": "the process died without saying why",
    }.get(code, code)
