"""Small games with a random judge, and the truth about them by brute force."""

from pathlib import Path

import numpy as np

from aarlab.kit.debate.task import DebateTask, Judge


def task(seed: int = 0, n: int = 3, items: int = 7, k: int = 4, answers: int = 3, schedule: list[int] | None = None) -> DebateTask:
    """Every answer against every other in every case, the own side first; two legal items fewer in the last case."""
    rng = np.random.default_rng(seed)
    judge = Judge(
        rng.normal(size=(n, 8)).astype("f4"), rng.normal(size=(n, items, 8)).astype("f4"),
        ((rng.normal(size=(8, 5)).astype("f4"), np.zeros(5, "f4")), (rng.normal(size=(5, answers)).astype("f4"), np.zeros(answers, "f4"))),
    )
    legal = np.ones((n, items), bool)
    legal[-1, :2] = False
    case, own, other = (a.ravel() for a in np.indices((n, answers, answers)))
    keep = own != other
    case, own, other = case[keep], own[keep], other[keep]
    g = len(case)
    return DebateTask(
        Path(), "digits", k, answers, np.array(schedule or [0, 1] * (k // 2)), seed, rng.random((n, items)).astype("f4"), {},
        legal, case, own, other, np.ones(g, bool), np.full((g, k), -1), judge,
    )


def brute(task: DebateTask, g: int, shown: tuple[int, ...]) -> float:
    """Value of a game from here, by trying every order of every move."""
    if len(shown) == task.k:
        logits = task.judge.logits(task.case[g : g + 1], np.array([shown]))[0]
        return float(logits[task.own[g]] - logits[task.other[g]])
    mine = (task.schedule[len(shown)] == 0) == task.first[g]
    after = [brute(task, g, (*shown, int(i))) for i in np.flatnonzero(task.legal[task.case[g]]) if i not in shown]
    return max(after) if mine else min(after)
