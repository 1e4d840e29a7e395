"""Single debates as data, reveal by reveal: what a person needs to see one happen (drawn by report/replay.py).

A replay is a dict: `question`, `truth` and `lie` (answers in words), `image` (rows of numbers) or `sentences`, `legal`,
`steps`: one for each reveal, with `item`, `side` ("truth" or "lie") and `belief`, the judge's P(truth) then; `before`:
the same before anything is shown; `won`: whether the truth won, None if nobody did; `whole`: whether a judge of whole
cases chooses it. Where there is more than items: `label` of a game, and `says` of a step, what was said in it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aarlab.kit.debate.task import NOTHING, Ints
from aarlab.problems.base import Instance
from aarlab.problems.debate import roles
from aarlab.problems.debate.referee import FORFEIT, UNPLAYED, Array, Setting, believed, setting, wins
from aarlab.problems.debate.transcripts import Forfeit, Statement, Transcript

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


def spoken(t: Transcript, sentences: Sequence[str]) -> dict[str, Any]:
    """A transcript about a passage, statement by statement: the judge believes anew when a round is over."""
    truth = t.sides.index(t.truth) if t.truth in t.sides else 0
    name = ("truth", "lie") if truth == 0 else ("lie", "truth")
    belief, steps = 0.5, []
    for number, made in enumerate(t.rounds):
        events: list[Statement | Forfeit] = [*made.statements, *(f for f in t.forfeits if f.round == number)]
        for i, event in enumerate(events):
            last = i == len(events) - 1
            if last and made.belief is not None:
                belief = made.belief[truth]
            if last and number == len(t.rounds) - 1:
                belief = t.verdict.belief[truth]
            asks = f" The judge asks: {made.question}" if last and made.question else ""
            steps.append({
                "item": event.item if isinstance(event, Statement) else None, "side": name[event.side],
                "belief": round(belief, 4), "says": f"Round {number + 1}: {_told(event)}{asks}",
            })  # fmt: skip
    return {
        "label": f"{t.protocol}, {t.case}", "question": t.question, "truth": t.choices[t.sides[truth]],
        "lie": t.choices[t.sides[1 - truth]], "image": None, "sentences": list(sentences),
        "legal": [True] * len(sentences), "before": 0.5, "steps": steps,
        "won": None if t.verdict.answer is None else t.verdict.answer == t.truth, "whole": False,
    }  # fmt: skip


def _told(event: Statement | Forfeit) -> str:
    if isinstance(event, Forfeit):
        return f"forfeits: {event.reason}. {event.detail}"
    quoted = f' It quotes: "{event.quotation}".' if event.quotation else ""
    sure = "" if event.confidence is None else f" (It is {event.confidence:.2f} sure to be believed.)"
    return f"{event.argument}{quoted}{sure}"
