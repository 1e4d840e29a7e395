"""Worker processes end with whoever started them, whatever ended it."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = """
import os, sys, time
from aarlab.campaign import workers
if __name__ == "__main__":
    with workers.pool(2) as pool:
        list(pool.map(time.sleep, [1, 1]))  # until both run
        jobs = [pool.submit(time.sleep, 60) for _ in range(2)]
        pids = list(pool._processes)
        print(*pids, flush=True)
        if sys.argv[1] == "killed":
            time.sleep(60)
        if sys.argv[1] == "group":
            for pid in pids:
                os.kill(pid, 15)
            time.sleep(1)
        raise KeyboardInterrupt
"""


def alive(pid: int) -> bool:
    """Whether it runs; one that has ended and is not yet taken note of, as orphans of these tests may be, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("how", ["interrupted", "group", "killed"])
def test_no_worker_outlives_its_parent_and_none_is_waited_for(tmp_path: Path, how: str) -> None:
    """group: a signal to the whole process group (`timeout`, a terminal) ends the workers before their parent."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    parent = subprocess.Popen(
        [sys.executable, str(program), how], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert len(pids) == 2
    if how == "killed":
        parent.send_signal(signal.SIGKILL)
    assert parent.wait(60) != 0
    until = time.monotonic() + 30
    while (left := [pid for pid in pids if alive(pid)]) and time.monotonic() < until:
        time.sleep(0.05)
    assert not left
