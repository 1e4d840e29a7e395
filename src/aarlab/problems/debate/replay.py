"""Single debates as data, reveal by reveal: what a person needs to see one happen (drawn by report/replay.py).

A replay is a dict: `question`, `truth` and `lie` (answers in words), `image` (rows of numbers) or `sentences`, `legal`,
`steps`: one for each reveal, with `item`, `side` ("truth" or "lie") and `belief`, the judge's P(truth) then; `before`:
the same before anything is shown; `won`: whether the truth won; `whole`: whether a judge of whole cases chooses it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aarlab.kit.debate.task import NOTHING, Ints
from aarlab.problems.base import Instance
from aarlab.problems.debate import roles
from aarlab.problems.debate.referee import FORFEIT, UNPLAYED, Array, Setting, believed, setting, wins

LIAR = "two-ply"


def lab_debates(instance: Instance, question: str, count: int = 8) -> list[dict[str, Any]]:
    """Debates of the lab's honest debater against its strongest liar: as many lost as won, where there are."""
    s = setting(instance)
    shown, _ = roles.staged(s, LIAR, s.k)
    lie = s.lie[np.arange(len(s.y)), s.y]
    won = believed(s.judge, np.arange(len(s.y)), shown, s.y, lie) > 0.5
    rows = np.concatenate([np.flatnonzero(won)[: count - count // 2], np.flatnonzero(~won)[: count // 2]])
    return replays(instance, s, question, rows, shown)


def recorded(instance: Instance, output: Array, question: str, count: int = 8) -> list[dict[str, Any]]:
    """Debates of a method from its record on an instance: its honest games against the liar that is its worst."""
    s = setting(instance)
    record = output.reshape(s.shape)
    worst = int(wins(record, s.y).mean(0).argmin())
    mine = record[np.arange(len(s.y)), worst, s.y]
    whole = np.flatnonzero(~np.isin(mine[:, -1], (FORFEIT, UNPLAYED)))
    won = mine[whole, -1] > 0.5
    rows = np.concatenate([whole[won][: count - count // 2], whole[~won][: count // 2]])
    return replays(instance, s, question, rows, mine[:, :-1].astype(np.int64))


def replays(
    instance: Instance, s: Setting, question: str, rows: Sequence[int] | NDArray[Any], shown: Ints
) -> list[dict[str, Any]]:
    """The games of some cases; shown: (n, k) what was revealed in every case."""
    inputs = np.load(instance.task / "inputs.npy")
    made = []
    for row in map(int, rows):
        y, lie = int(s.y[row]), int(s.lie[row, s.y[row]])
        beliefs = []
        for steps in range(s.k + 1):
            seen = np.where(np.arange(s.k) < steps, shown[row], NOTHING)[None]
            case, a, b = (np.array([v]) for v in (row, y, lie))
            beliefs.append(round(float(believed(s.judge, case, seen, a, b)[0]), 4))
        truthful = (s.schedule == 0) == s.first[row]
        choices = s.more.get("more.choices")
        names = [str(v) if choices is None else str(choices[row, v]) for v in (y, lie)]
        told = s.more.get("more.question")
        made.append({
            "question": question if told is None else str(told[row]), "truth": names[0], "lie": names[1],
            "image": np.round(inputs[row].astype(float), 3).tolist() if inputs.dtype.kind == "f" else None,
            "sentences": None if inputs.dtype.kind == "f" else [str(t) for t in inputs[row]],
            "legal": s.legal[row].tolist(), "before": beliefs[0],
            "steps": [
                {"item": int(i), "side": "truth" if t else "lie", "belief": b}
                for i, t, b in zip(shown[row], truthful, beliefs[1:], strict=True)
            ],
            "won": beliefs[-1] > 0.5, "whole": bool(instance.truth["ceiling"][row]),
        })  # fmt: skip
    return made
