"""Run a method on task folders, inside a sandbox: `python -m aarlab.kit.execute METHOD TASK...`.

Writes, for every task in order, the predictions as raw little-endian float64 to standard output, and nothing else
there: what a method prints goes to standard error. The lab checks length and values again outside; the exit status
and the last line of standard error only serve to explain. Exit status: 0, or one of the CODES below.
"""

import json
import os
import runpy
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from aarlab.kit.task import W2STask

LOADERS: dict[str, Callable[[Path], Any]] = {"w2s": W2STask.load}

# What may be said of a failed run. `raised` and above come from here; the rest are the walls' own words.
CODES = {"raised": 10, "no_run": 11, "wrong_type": 12, "wrong_shape": 13, "not_finite": 14, "out_of_range": 15}


class Refused(Exception):
    """The method's output cannot be taken; `code` is one of CODES."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def check(output: Any, rows: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Validate what `run` returned: (rows,) P(y = 1), or (rows, 2) class probabilities, in [0, 1]."""
    try:
        p = np.asarray(output, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise Refused("wrong_type", f"run returned {type(output).__name__}, not an array of numbers") from error
    if p.shape == (rows, 2):
        p = p[:, 1]
    if p.shape != (rows,):
        raise Refused("wrong_shape", f"run returned shape {p.shape}; expected ({rows},), one P(y = 1) a test row")
    if not np.isfinite(p).all():
        raise Refused("not_finite", f"{int((~np.isfinite(p)).sum())} of {rows} values are NaN or infinite")
    if p.min() < 0 or p.max() > 1:
        raise Refused("out_of_range", f"values reach from {p.min():g} to {p.max():g}; they must lie in [0, 1]")
    return p


def where(error: BaseException, method: Path) -> str:
    """`method.py:12: ValueError: message`, the innermost line of the method's own folder."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{Path(error.filename).name}:{error.lineno}: SyntaxError: {error.msg}"
    lines = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).parent == method]
    place = f"{Path(lines[-1].filename).name}:{lines[-1].lineno}" if lines else "method.py"
    return f"{place}: {type(error).__name__}: {error}"


def main(argv: list[str]) -> int:
    method, tasks = Path(argv[0]), [Path(t) for t in argv[1:]]
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    seconds = []
    try:
        sys.path.insert(0, str(method))
        entry = runpy.run_path(str(method / "method.py")).get("run")
        if not callable(entry):
            raise Refused("no_run", "method.py defines no function `run(task)`")
        for folder in tasks:
            start = time.perf_counter()
            task = LOADERS[json.loads((folder / "task.json").read_text())["kind"]](folder)
            answers.write(check(entry(task), len(task.test)).astype("<f8").tobytes())
            seconds.append(round(time.perf_counter() - start, 4))
        answers.close()
    except Refused as refusal:
        print(json.dumps({"code": refusal.code, "message": str(refusal)}), file=sys.stderr)
        return CODES[refusal.code]
    except (Exception, SystemExit) as error:
        print(json.dumps({"code": "raised", "message": where(error, method)[:2000]}), file=sys.stderr)
        return CODES["raised"]
    print(json.dumps({"code": "ok", "seconds": seconds}), file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
