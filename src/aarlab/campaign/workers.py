"""The lab's own trusted computing, in worker processes of one thread each: draws, references, and the comparator.

Nothing that a researcher wrote runs here.
"""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aarlab.kit.stats import Outcomes, join
from aarlab.lab.scoring import Yardstick, start_outcomes, yardstick
from aarlab.lab.vault import Vault
from aarlab.problems import base
from aarlab.problems.base import References, Studied

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@contextmanager
def pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Worker processes that inherit one-thread settings; small models are slower with more.

    When the block is left by an exception (Ctrl-C), work in hand is dropped; else it is waited for.
    """
    for name in THREADS:
        os.environ[name] = "1"
    context = get_context("spawn")
    heard, held = context.Pipe(duplex=False)
    executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_serve_the_parent, initargs=(heard,))
    try:
        yield executor
    except BaseException:
        held.close()
        raise
    finally:
        executor.shutdown(cancel_futures=True)
        held.close()
        heard.close()


def _serve_the_parent(heard: Connection) -> None:
    """Ctrl-C is for the parent to hear. It holds the other end of the pipe until its workers shall leave; the kernel
    lets go of it when the parent is killed. (An event would wait for workers that a signal to all has ended.)"""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_after, args=(heard,), daemon=True).start()


def _leave_after(heard: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        heard.recv_bytes()
    os._exit(1)


def prepare_practice(problem: str, seeds: Sequence[int]) -> dict[int, References]:
    """Public instances and their floors and ceilings, by seed."""
    opened = base.load(problem)
    return {seed: opened.references(opened.practice(seed)) for seed in seeds}


def prepare_draw(problem: str, vault: Vault, set_name: str) -> None:
    """Draw and encode the rows of a sealed set."""
    base.load(problem, vault.draws).sealed(set_name, 0, vault.secret)


def prepare_yardstick(problem: str, vault: Vault, set_name: str) -> Yardstick:
    """Instances, floor and ceiling of a sealed set."""
    return yardstick(base.load(problem, vault.draws), vault, set_name)


def baseline(problem: str, vault: Vault, set_name: str, name: str, yard: Yardstick) -> Outcomes:
    """An untuned baseline on every instance of a sealed set."""
    opened = base.load(problem, vault.draws)
    return join([opened.references(i, [name]).baselines[name] for i in yard.instances])


def start(problem: str, vault: Vault, name: str, yard: Yardstick) -> Outcomes:
    """What the campaign starts from, the floor or an untuned baseline, on every instance of a sealed set."""
    return start_outcomes(base.load(problem, vault.draws), yard, name)


def control_practice(problem: str, seed: int, numbers: Sequence[int], seeds: Sequence[int]) -> list[float | None]:
    """Practice scores (mean gap recovered) of the numbered configurations of the seeded random search, cached."""
    return base.load(problem).control_practice(seed, numbers, seeds)


def control_sealed(problem: str, vault: Vault, seed: int, number: int, yard: Yardstick) -> Outcomes:
    """A configuration of the random search on every instance of a sealed set."""
    opened = base.load(problem, vault.draws)
    return join([opened.score(i, opened.control(seed, number, i)) for i in yard.instances])


def redrawn(
    problem: str, vault: Vault, yard: Yardstick, submissions: Sequence[int], first: int, redraws: int
) -> list[float]:
    """The best gap recovered of the submissions, under each of that many placebo truths of a sealed set."""
    opened = base.load(problem, vault.draws)
    floor = float(yard.floor.value.mean())
    gap = float(yard.ceiling.value.mean()) - floor
    known = [(i, [vault.output(str(s), i.key) for s in submissions]) for i in yard.instances]
    best = []
    for seed in range(first, first + redraws):
        drawn = [(opened.placebo(i, seed), outputs) for i, outputs in known]
        right = [[opened.score(i, o).value.mean() for o in outputs if o is not None] for i, outputs in drawn]
        best.append((float(np.mean(right, axis=0).max()) - floor) / gap)
    return best


def predict(problem: str, name: str, seed: int) -> NDArray[np.float32]:
    """A catalogued method on a public instance and its ablations. Raises ValueError where it can't be run."""
    opened = base.load(problem)
    assert isinstance(opened, Studied)
    return opened.predict(name, seed)


def sweep(problem: str, names: Sequence[str], seed: int) -> Mapping[str, Mapping[str, NDArray[np.float32]]]:
    """Catalogued methods on a public instance, at every value of the swept hyperparameter."""
    opened = base.load(problem)
    assert isinstance(opened, Studied)
    return opened.sweep(names, seed)


def check(problem: str) -> Mapping[str, Any]:
    """A testbed's calibration (problems/*/check.py), in a worker."""
    return base.load(problem).check()
