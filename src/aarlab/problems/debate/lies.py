"""Which lie is held against the truth: strong, and telling nobody which of the two it is.

Lies that were merely the strongest would tell a judge much: an 8 is often the best lie about a 1, a 1 seldom about an
8, so whoever knows no more than the two answers would be right far oftener than by chance. So lies are dealt over all
cases of an instance: answer b is held against the truth a as often as a against b, and within that the strongest are
dealt.

Debaters hold every answer of every case, not knowing which is right. So all answers of a case are paired, the truth
with its lie among them; the others by how close a game between them is.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from aarlab.kit.debate.task import NOTHING, Floats, Ints
from aarlab.problems.debate.referee import Setting

UNEVEN = 10.0  # cost of one case by which two answers are not held against each other as often (a lie's is below 1)


def deal(s: Setting) -> Ints:
    """(n, C) the answer held against each answer: its own inverse in every case. s: with the truth; its lies are not
    looked at. Raises ValueError for an odd number of answers, which cannot be paired."""
    if s.answers % 2:
        raise ValueError(f"{s.answers} answers cannot be paired; a testbed of debate has an even number of them")
    margins = _margins(s)
    n, answers = margins.shape[:2]
    lies = _balanced(margins[np.arange(n), s.y], s.y)
    return _paired(np.abs(margins - margins.transpose(0, 2, 1)), s.y, lies, answers)


def _margins(s: Setting) -> Floats:
    """(n, C, C) the judge's logit of a less that of b when both sides play greedily; a's side begins where `first`."""
    n, answers = len(s.y), s.answers
    case, own, other = (a.ravel() for a in np.indices((n, answers, answers)))
    keep = own != other
    case, own, other = case[keep], own[keep], other[keep]
    shown, every = np.full((len(case), s.k), NOTHING), np.arange(len(case))
    for step in range(s.k):
        mover_own = (s.schedule[step] == 0) == s.first[case]
        held, against = np.where(mover_own, own, other), np.where(mover_own, other, own)
        shown[:, step] = s.move("greedy", s.view(case, held, against, s.first[case] == mover_own, shown))
    logits = s.judge.logits(case, shown)
    margins = np.zeros((n, answers, answers), np.float32)
    margins[case, own, other] = logits[every, own] - logits[every, other]
    return margins


def _balanced(margins: Floats, y: Ints) -> Ints:
    """(n, C) margins of the truth over each answer -> (n,) lies: every two answers against each other as often as the
    other way about (as nearly as numbers allow), and then with the least sum of P(truth). A small integer program."""
    n, answers = margins.shape
    case, lie = np.nonzero(np.arange(answers)[None] != y[:, None])
    cost = 1 / (1 + np.exp(-np.clip(margins[case, lie].astype(np.float64), -30, 30)))
    number = np.full((answers, answers), -1)
    upper = np.triu_indices(answers, 1)
    number[upper] = np.arange(len(upper[0]))
    pair = np.maximum(number[y[case], lie], number[lie, y[case]])
    pairs, chosen = len(upper[0]), np.arange(len(case))
    one_each = coo_array((np.ones(len(case)), (case, chosen)), (n, len(case) + 2 * pairs))
    slack = len(case) + np.arange(2 * pairs)
    entries = np.concatenate([np.where(y[case] < lie, 1.0, -1.0), np.repeat([1.0, -1.0], pairs)])
    rows, columns = np.concatenate([pair, np.tile(np.arange(pairs), 2)]), np.concatenate([chosen, slack])
    even = coo_array((entries, (rows, columns)), (pairs, len(case) + 2 * pairs))
    found = milp(
        np.concatenate([cost, np.full(2 * pairs, UNEVEN)]),
        constraints=[LinearConstraint(one_each, 1, 1), LinearConstraint(even, 0, 0)],
        integrality=np.ones(len(cost) + 2 * pairs),
        bounds=Bounds(0, np.concatenate([np.ones(len(cost)), np.full(2 * pairs, float(n))])),
        options={"mip_rel_gap": 1e-3},
    )
    if found.x is None:
        raise RuntimeError(f"no lies could be dealt: {found.message}")
    taken = np.flatnonzero(found.x[: len(case)] > 0.5)
    return np.asarray(lie[taken[np.argsort(case[taken])]])


def _paired(cost: Floats, y: Ints, lies: Ints, answers: int) -> Ints:
    """(n, C, C) how far from even a game of two answers is -> (n, C) the answers paired, truth and lie with each other,
    the rest so that the sum is least."""
    n, every = len(y), np.arange(len(y))
    table = np.empty((n, answers), np.int64)
    table[every, y], table[every, lies] = lies, y
    if answers == 2:
        return table
    free = np.ones((n, answers), bool)
    free[every, y] = free[every, lies] = False
    rest = np.nonzero(free)[1].reshape(n, answers - 2)
    ways = _matchings(answers - 2)
    one, two = rest[:, ways[..., 0]], rest[:, ways[..., 1]]
    best = cost[every[:, None, None], one, two].sum(2).argmin(1)
    one, two = one[every, best], two[every, best]
    table[every[:, None], one], table[every[:, None], two] = two, one
    return table


@lru_cache(maxsize=4)
def _matchings(m: int) -> NDArray[np.int64]:
    """(W, m / 2, 2) all ways to pair m things."""

    def ways(left: tuple[int, ...]) -> list[list[tuple[int, int]]]:
        if not left:
            return [[]]
        first, rest = left[0], left[1:]
        return [[(first, b), *more] for b in rest for more in ways(tuple(x for x in rest if x != b))]

    return np.array(ways(tuple(range(m))))
