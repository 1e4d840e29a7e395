"""The other two roles: a judge that hears the lab's debaters, and a protocol by which they play.

Nobody may learn from a set of questions more than from each: all candidates of the last move, taken together, are the
whole case. So a judge is asked twice: about every candidate of the last move, of which the side that moves last takes
the best for itself, and then, case by case alone, about where the game ended. An answer that changes has seen more than
the position, and loses its game.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aarlab.kit.debate.task import NOTHING, Ints, Judge, fair
from aarlab.problems.base import Ask, Instance, OutputSpec
from aarlab.problems.debate.referee import FORFEIT, HONEST, POOL, UNPLAYED, Array, Setting, believed, setting, write

SAME = 1e-3  # two answers to the same question that differ by more have not seen the same


def staged(s: Setting, who: str, steps: int) -> tuple[Ints, Ints]:
    """The first `steps` moves of the honest debater against a liar in every case, planned with the lab's judge: (n, k)
    what is shown; (n,) the lie."""
    case, lie = np.arange(len(s.y)), s.lie[np.arange(len(s.y)), s.y]
    shown = np.full((len(s.y), s.k), NOTHING)
    for step in range(steps):
        honest = (s.schedule[step] == 0) == s.first
        for is_honest in (True, False):
            rows = np.flatnonzero(honest == is_honest)
            if len(rows):
                held, other = (s.y, lie) if is_honest else (lie, s.y)
                view = s.view(case[rows], held[rows], other[rows], s.first[rows] == is_honest, shown[rows])
                shown[rows, step] = s.move(HONEST if is_honest else who, view)
    return shown, lie


def record(s: Setting, shown: Sequence[Ints], verdict: Sequence[Array]) -> Array:
    """The record of the games between truth and lie, one (n, k) and (n,) a liar of the pool; the lie's game is the same
    one, seen from the other side."""
    made = np.full(s.shape, UNPLAYED)
    made[..., :-1] = NOTHING
    rows, lie = np.arange(len(s.y)), s.lie[np.arange(len(s.y)), s.y]
    for p, (items, p_truth) in enumerate(zip(shown, verdict, strict=True)):
        made[rows, p, s.y] = np.column_stack([items, p_truth])
        made[rows, p, lie] = np.column_stack([items, np.where(p_truth == FORFEIT, FORFEIT, 1 - p_truth)])
    return made


def protocol(instances: Sequence[Instance], ask: Ask) -> list[Array]:
    """Ask for a schedule, and let the lab's debaters play by it under the lab's judge."""
    settings = [setting(i) for i in instances]
    with tempfile.TemporaryDirectory(prefix="aar-turn-") as home:
        folders = [write(Path(home) / str(n), s, "protocol", {}, []) for n, s in enumerate(settings)]
        said = ask(folders, [OutputSpec((s.k,), 0.0, 1.0) for s in settings])
    records = []
    for s, schedule in zip(settings, said, strict=True):
        scheduled = replace(s, schedule=fair(schedule).astype(np.int64))
        games = [staged(scheduled, who, s.k)[0] for who in POOL]
        every, lie = np.arange(len(s.y)), s.lie[np.arange(len(s.y)), s.y]
        records.append(record(s, games, [believed(s.judge, every, shown, s.y, lie) for shown in games]))
    return records


@dataclass(frozen=True)
class _Questions:
    """case, shown: (m,), (m, k) positions; truth_is_a: (m,) how the two answers were dealt; game: (m,) liar's number;
    item: (m,) the candidate that was revealed last."""

    case: Ints
    shown: Ints
    truth_is_a: NDArray[np.bool_]
    game: Ints
    item: Ints


def judge(instances: Sequence[Instance], ask: Ask) -> list[Array]:
    """Ask a judge about every last move, play it, and ask again about the ends against the liar that is its worst."""
    settings = [setting(i) for i in instances]
    handles = [Judge.load(i.task) for i in instances]
    openings = [[staged(s, who, s.k - 1)[0] for who in POOL] for s in settings]
    questions = [_candidates(s, o) for s, o in zip(settings, openings, strict=True)]
    first = _asked(instances, settings, handles, questions, ask)
    ends = [_ended(s, o, q, p) for s, o, q, p in zip(settings, openings, questions, first, strict=True)]
    worst = [int(np.argmin([np.mean(v > 0.5) for v in verdicts])) for _, verdicts in ends]
    alone = [_alone(s, shown[w], w) for s, (shown, _), w in zip(settings, ends, worst, strict=True)]
    second = _asked(instances, settings, handles, alone, ask)
    records = []
    for s, (shown, verdicts), w, again in zip(settings, ends, worst, second, strict=True):
        verdicts[w] = np.where(np.abs(again - verdicts[w]) > SAME, FORFEIT, again)
        records.append(record(s, shown, verdicts))
    return records


def _dealt(s: Setting, m: int, salt: int) -> NDArray[np.bool_]:
    return np.random.default_rng([s.seed, 4, salt]).random(m) < 0.5


def _candidates(s: Setting, openings: Sequence[Ints]) -> _Questions:
    """Every end of every game after its first k - 1 moves. Whoever moves last, and however, all are asked about, so
    that their number says nothing of who it is."""
    parts = []
    for number, opening in enumerate(openings):
        free = s.legal.copy()
        rows, steps = np.nonzero(opening >= 0)
        free[rows, opening[rows, steps]] = False
        case, item = np.nonzero(free)
        shown = opening[case].copy()
        shown[:, s.k - 1] = item
        parts.append((case, shown, np.full(len(case), number), item))
    case, shown, game, item = (np.concatenate(p) for p in zip(*parts, strict=True))
    # one deal a game, not a question: else the two sides could be told apart by pooling a game's questions
    dealt = _dealt(s, len(POOL) * len(s.y), 0).reshape(len(POOL), -1)
    return _Questions(case, shown, dealt[game, case], game, item)


def _alone(s: Setting, shown: Ints, number: int) -> _Questions:
    n = len(s.y)
    return _Questions(np.arange(n), shown, _dealt(s, n, 1), np.full(n, number), shown[:, -1])


def _asked(
    instances: Sequence[Instance], settings: Sequence[Setting], handles: Sequence[Judge],
    questions: Sequence[_Questions], ask: Ask,
) -> list[Array]:  # fmt: skip
    """(m,) P(truth) of every instance's questions."""
    with tempfile.TemporaryDirectory(prefix="aar-turn-") as home:
        folders = []
        for n, (i, s, handle, q) in enumerate(zip(instances, settings, handles, questions, strict=True)):
            lie = s.lie[np.arange(len(s.y)), s.y]
            held = np.where(s.schedule[None, :] == 0, s.first[q.case][:, None], ~s.first[q.case][:, None])
            arrays = {
                "items": q.shown, "values": s.values[q.case[:, None], q.shown],
                "by": (held != q.truth_is_a[:, None]).astype(np.int64),
                "a": np.where(q.truth_is_a, s.y[q.case], lie[q.case]),
                "b": np.where(q.truth_is_a, lie[q.case], s.y[q.case]),
                "logits": handle.logits(q.case, q.shown), **{name: a[q.case] for name, a in s.more.items()},
            }  # fmt: skip
            folders.append(write(Path(home) / str(n), s, "judge", arrays, sorted(i.task.glob("train.*.npy"))))
        said = ask(folders, [OutputSpec((len(q.case),), 0.0, 1.0) for q in questions])
    return [np.where(q.truth_is_a, p, 1 - p) for q, p in zip(questions, said, strict=True)]


def _ended(
    s: Setting, openings: Sequence[Ints], q: _Questions, p_truth: Array
) -> tuple[list[Ints], list[Array]]:
    """The last move of every game: who moves takes what serves it best under the submitted judge, and of what serves
    it equally what serves it best under the lab's. Shown items and P(truth), one a liar."""
    honest_last = ((s.schedule[s.k - 1] == 0) == s.first)[q.case]
    lie = s.lie[np.arange(len(s.y)), s.y]
    lab = believed(s.judge, q.case, q.shown, s.y[q.case], lie[q.case])
    by_chance = ~honest_last & (np.array(POOL)[q.game] == "random")
    worth = np.where(honest_last, p_truth + 1e-6 * lab, -p_truth - 1e-6 * lab)
    worth = np.where(by_chance, s.ranking[q.case, q.item], worth)
    shown, verdicts = [], []
    for number in range(len(openings)):
        rows = np.flatnonzero(q.game == number)
        best = rows[np.lexsort((-worth[rows], q.case[rows]))]
        best = best[np.unique(q.case[best], return_index=True)[1]]
        shown.append(q.shown[best])
        verdicts.append(p_truth[best].copy())
    return shown, verdicts
