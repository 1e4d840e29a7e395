"""Matches between the kit's own debaters, in this process: what the analysis of a testbed is made of.

All games of a match are played at once, so that a position that several games reach is searched once for all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aarlab.kit.debate import play
from aarlab.kit.debate.task import NOTHING, DebateTask, Floats, Ints
from aarlab.problems.debate.referee import Array, Setting, ahead

Player = Callable[[DebateTask], Floats]
DEBATERS: Mapping[str, Player] = {
    "random": play.dice,
    "greedy": play.greedy,
    "two-ply": lambda task: play.lookahead(task, depth=2),
    "mcts": lambda task: play.monte_carlo(task, playouts=60),
    "self-play": play.self_play,
    "minimax": lambda task: play.lookahead(task, depth=task.k),
}
SLOW = ("mcts", "self-play", "minimax")
EXACT = 4  # reveals that minimax searches to the end in reasonable time


def debaters(k: int) -> list[str]:
    """Names of those that play on a testbed of k reveals."""
    return [name for name in DEBATERS if name != "minimax" or k <= EXACT]


@dataclass(frozen=True)
class Match:
    """Games about cases. one, two: (g,) numbers of the players, of `players`, that hold answers a and b; first: (g,)
    whether a reveals first; shown: (g, k) in the end; margin: (g,) the judge's logit of a less that of b."""

    players: Sequence[str]
    case: Ints
    a: Ints
    b: Ints
    one: Ints
    two: Ints
    first: NDArray[np.bool_]
    shown: Ints
    margin: Floats

    @property
    def won(self) -> Array:
        """(g,) 1 where a won, .5 where the judge was undecided."""
        return ahead(self.margin)


def match(
    s: Setting, players: Sequence[str], case: Ints, a: Ints, b: Ints, one: Ints, two: Ints, first: NDArray[np.bool_]
) -> Match:
    """Play the games out, under the setting's schedule and judge."""
    g = len(case)
    shown = np.full((g, s.k), NOTHING)
    for step in range(s.k):
        a_moves = (s.schedule[step] == 0) == first
        mover = np.where(a_moves, one, two)
        for number in np.unique(mover):
            rows = np.flatnonzero(mover == number)
            own = np.where(a_moves, a, b)[rows]
            other = np.where(a_moves, b, a)[rows]
            view = s.view(case[rows], own, other, first[rows] == a_moves[rows], shown[rows])
            # dice are thrown anew for every move, or a player by chance would throw the same ones each time
            values = DEBATERS[players[number]](replace(view, seed=s.seed + 1000 * step + int(number)))
            shown[rows, step] = play.choose(view, values).astype(np.int64)
    logits, every = s.judge.logits(case, shown), np.arange(g)
    return Match(players, case, a, b, one, two, first, shown, logits[every, a] - logits[every, b])


def honest_against_liars(s: Setting) -> Match:
    """Every debater for the truth against every debater for the best lie, in every case."""
    names = debaters(s.k)
    case, one, two = (x.ravel() for x in np.indices((len(s.y), len(names), len(names))))
    slow = [i for i, name in enumerate(names) if name in SLOW]
    # the slow ones do not meet one another, but for minimax, which is measured against itself
    exact = [i for i, name in enumerate(names) if name == "minimax"]
    keep = ~(np.isin(one, slow) & np.isin(two, slow)) | (np.isin(one, exact) & np.isin(two, exact))
    case, one, two = case[keep], one[keep], two[keep]
    return match(s, names, case, s.y[case], s.lie[case, s.y[case]], one, two, s.first[case])


def round_robin(s: Setting, who: str = "greedy") -> Match:
    """Every pair of answers in every case, the same debater on both sides; who begins is drawn."""
    i, j = np.triu_indices(s.answers, 1)
    case = np.repeat(np.arange(len(s.y)), len(i))
    a, b = np.tile(i, len(s.y)), np.tile(j, len(s.y))
    zeros = np.zeros(len(case), np.int64)
    first = np.random.default_rng([s.seed, 5]).random(len(case)) < 0.5
    return match(s, [who], case, a, b, zeros, zeros, first)


def answers(s: Setting, case: Ints, a: Ints, b: Ints, margin: Floats) -> Ints:
    """(n,) the answer that wins most of its pairs; of equals the one with the larger sum of margins."""
    table = np.zeros((len(s.y), s.answers))
    sums = np.zeros((len(s.y), s.answers))
    for side, sign in ((a, 1), (b, -1)):
        np.add.at(table, (case, side), np.where(margin == 0, 0.5, sign * margin > 0))
        np.add.at(sums, (case, side), sign * margin)
    return np.asarray((table + 1e-6 * np.tanh(sums / 100)).argmax(1))


def views(s: Setting, count: int, salt: int) -> Ints:
    """(count, n, k) items of random views of every case."""
    rng = np.random.default_rng([s.deal, 6, salt])
    thrown = np.where(s.legal, rng.random((count, *s.legal.shape), dtype=np.float32), -1)
    return np.asarray(thrown.argpartition(-s.k, axis=2)[..., -s.k :])


def seen(s: Setting, shown: Ints) -> Floats:
    """(count, n, k) views -> (count, n, C) log-probabilities of the answers."""
    count, n, k = shown.shape
    logits = s.judge.logits(np.tile(np.arange(n), count), shown.reshape(-1, k)).reshape(count, n, -1)
    top = logits.max(2, keepdims=True)
    return np.asarray(logits - top - np.log(np.exp(logits - top).sum(2, keepdims=True)))


def consultancy(s: Setting, who: str = "greedy") -> tuple[Array, Array]:
    """One advocate reveals everything: (n,) whether the judge believes the truth when the advocate argues for it, and
    when it argues for the best lie."""
    n, lie = len(s.y), s.lie[np.arange(len(s.y)), s.y]
    alone = replace(s, schedule=np.zeros(s.k, np.int64))
    every, zeros = np.arange(n), np.zeros(n, np.int64)
    said = [
        match(alone, [who], every, held, other, zeros, zeros, np.ones(n, bool)).won
        for held, other in ((s.y, lie), (lie, s.y))
    ]
    return said[0], 1 - said[1]
