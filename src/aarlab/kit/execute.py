"""Run a method on task folders, inside a sandbox: `python -m aarlab.kit.execute METHOD TASK...`.

A folder's `task.json` says the `kind` of its task (kit/tasks.py) and, if it is not `run`, the `entry`: which function
of method.py is called with it. Writes, for every task in order, the answers as raw little-endian float64 to standard
output, and nothing else there: what a method prints goes to standard error. The lab checks length and values again
outside; the exit status and the last line of standard error only serve to explain. Exit status: 0, or one of CODES.
"""

import contextlib
import json
import os
import runpy
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from aarlab.kit.answers import CODES, Refused
from aarlab.kit.tasks import LOADERS


def where(error: BaseException, method: Path) -> str:
    """`method.py:12: ValueError: message`, the innermost line of the method's own folder."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{Path(error.filename).name}:{error.lineno}: SyntaxError: {error.msg}"
    lines = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).parent == method]
    place = f"{Path(lines[-1].filename).name}:{lines[-1].lineno}" if lines else "method.py"
    return f"{place}: {type(error).__name__}: {error}"


def explain(**what: Any) -> None:
    """The last line of standard error, after everything that the method has printed."""
    with contextlib.suppress(Exception):  # the method may have closed it
        sys.stdout.flush()
    print("\n" + json.dumps(what), file=sys.stderr)


def main(argv: list[str]) -> int:
    method, tasks = Path(argv[0]), [Path(t) for t in argv[1:]]
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    seconds = []
    try:
        sys.path.insert(0, str(method))
        defined = runpy.run_path(str(method / "method.py"))
        for folder in tasks:
            start = time.perf_counter()
            meta = json.loads((folder / "task.json").read_text())
            entry = defined.get(name := meta.get("entry", "run"))
            if not callable(entry):
                raise Refused("no_run", f"method.py defines no function `{name}(task)`")
            task = LOADERS[meta["kind"]](folder)
            answers.write(task.accept(entry(task)).astype("<f8").tobytes())
            seconds.append(round(time.perf_counter() - start, 4))
        answers.close()
    except Refused as refusal:
        explain(code=refusal.code, message=str(refusal))
        return CODES[refusal.code]
    except (Exception, SystemExit) as error:
        explain(code="raised", message=where(error, method)[:2000])
        return CODES["raised"]
    explain(code="ok", seconds=seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
