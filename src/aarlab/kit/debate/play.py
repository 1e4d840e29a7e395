"""Strategies of a debater, as plain functions of a task: each gives a value to every item that could be revealed.

A value is (g, I) float32, -inf where an item cannot be revealed; `choose` turns values into moves. What is searched
are *sets* of items, not orders: the judge does not care for the order, so sets are read once, for all games and all
pairs of answers that share a case. Two debaters who look to the end of the game play exactly (`lookahead`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aarlab.kit.debate.task import DebateTask, Floats, Ints

Leaf = Literal["margin", "chance"]
Model = Literal["greedy", "mean"]
Tie = Literal["first", "last", "bright", "dice"]
ROWS = 60_000  # sets read at once: what stays in a core's cache is read fastest
NEVER = np.float32(-np.inf)


def choose(task: DebateTask, values: Floats, *, tie: Tie = "first", within: float = 0.0) -> NDArray[np.float64]:
    """(g, I) values -> (g,) items: the best, or, of those `within` that much of it, the one that `tie` names: first or
    last in order, `bright` (the largest input; where inputs are no numbers, the first), or by dice."""
    near = np.isfinite(values) & (values >= values.max(1, keepdims=True) - np.float32(within))
    if tie == "last":
        return np.asarray(values.shape[1] - 1 - near[:, ::-1].argmax(1), np.float64)
    order = np.zeros(values.shape, np.float32)
    if tie == "dice":
        order = np.random.default_rng(task.seed).random(values.shape, dtype=np.float32)
    elif tie == "bright" and task.inputs.dtype.kind == "f":
        order = task.inputs.reshape(len(task.inputs), -1)[task.case]
    return np.asarray(np.where(near, order, NEVER).argmax(1), np.float64)


def dice(task: DebateTask) -> Floats:
    """Any item, by chance."""
    thrown = np.random.default_rng(task.seed).random((len(task.case), task.legal.shape[1]), dtype=np.float32)
    return np.where(task.open(), thrown, NEVER)


def greedy(task: DebateTask) -> Floats:
    """The margin, own answer's logit less the other's, that the judge would have right after the move."""
    return lookahead(task, depth=1)


def lookahead(
    task: DebateTask, *, depth: int = 2, share: float = 1.0, model: Model = "mean", leaf: Leaf = "margin",
    heat: float = 1.0,
) -> Floats:  # fmt: skip
    """Value of each item when both sides look `depth` reveals ahead; to the end of the game, minimax is exact.

    A reply of the other side is worth `share` of the worst for us and the rest of what `model` says: the mean over
    all replies, or the reply of an opponent that is greedy on the judge. leaf: a position is worth its margin, or the
    chance sigmoid(margin / heat), as if the judge's margin came with noise.
    """
    values = np.full((len(task.case), task.legal.shape[1]), NEVER)
    for batch in _batches(task, depth):
        if batch.depth:
            batch.write(values, _searched(task, batch, share, model, leaf, heat))
    return values


def monte_carlo(
    task: DebateTask, *, playouts: int = 100, explore: float = 1.0, exact: int = 2, heat: float = 1.0
) -> Floats:
    """UCT (Kocsis & Szepesvári 2006) in lockstep over all games: visits of each item after `playouts` random playouts,
    each worth sigmoid(margin / heat) at its end. With no more than `exact` reveals left it is minimax instead."""
    left = task.k - task.turn
    values = np.full((len(task.case), task.legal.shape[1]), NEVER)
    near = np.flatnonzero(left <= exact)
    if len(near):
        values[near] = lookahead(subset(task, near), depth=max(exact, 1))
    far = np.flatnonzero(left > exact)
    if len(far):
        keys = np.column_stack([
            task.case[far], task.own[far], task.other[far], task.first[far], np.sort(task.shown[far], 1)
        ])  # fmt: skip
        _, one, back = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        values[far] = _uct(subset(task, far[one]), playouts, explore, heat)[back.ravel()]
    return values


def influence(task: DebateTask, *, samples: int = 200, exact: int = 2, deny: float = 0.0) -> Floats:
    """How much an item moves the margin at the end, over random ways the game may end (a Banzhaf value: Banzhaf 1965).
    deny: what is added for an item that would also serve the other side, by how far its effect varies. With no more
    than `exact` reveals left it is minimax instead."""
    left = task.k - task.turn
    values = np.full((len(task.case), task.legal.shape[1]), NEVER)
    near = np.flatnonzero(left <= exact)
    if len(near):
        values[near] = lookahead(subset(task, near), depth=max(exact, 1))
    rng = np.random.default_rng(task.seed)
    rest = subset(task, np.flatnonzero(left > exact))
    for state, games in _states(rest):
        case, open_items = rest.case[games[0]], np.flatnonzero(rest.open()[games[0]])
        ends = task.k - int(rest.turn[games[0]])
        drawn = rng.random((samples, len(open_items))).argpartition(ends - 1, axis=1)[:, :ends]
        within = np.zeros((samples, len(open_items)), np.float32)
        np.put_along_axis(within, drawn, np.float32(1), 1)
        shown = np.concatenate([np.tile(state, (samples, 1)), open_items[drawn]], 1)
        logits = task.judge.logits(np.full(samples, case), shown)
        margins = logits[:, rest.own[games]] - logits[:, rest.other[games]]
        count = within.sum(0)[:, None] + 1e-6
        mean = within.T @ margins / count
        spread = np.sqrt(np.maximum(within.T @ margins**2 / count - mean**2, 0))
        values[np.ix_(np.flatnonzero(left > exact)[games], open_items)] = (mean + np.float32(deny) * spread).T
    return values


def self_play(
    task: DebateTask, *, rounds: int = 2, games: int = 120, dice: float = 0.3, ridge: float = 1e-2, exact: int = 2
) -> Floats:
    """A debater that learns the worth of a position by playing against itself on the task's own cases, no truth needed:
    `rounds` of `games` games with random pairs of answers, a share `dice` of moves by chance; then a ridge regression
    of who won on what can be read from the position (Samuel 1959). With no more than `exact` reveals left: minimax."""
    left = task.k - task.turn
    values = np.full((len(task.case), task.legal.shape[1]), NEVER)
    near, far = np.flatnonzero(left <= exact), np.flatnonzero(left > exact)
    if len(near):
        values[near] = lookahead(subset(task, near), depth=max(exact, 1))
    if len(far):
        rng = np.random.default_rng(task.seed)
        weights = np.zeros((task.k + 1, FEATURES), np.float32)
        weights[:, 0] = 1
        for _ in range(rounds):
            weights = _learn(task, weights, rng, games, dice, ridge)
        values[far] = _worth(subset(task, far), weights)
    return values


def consult(task: DebateTask) -> Floats:
    """A consultant's values: it alone reveals, so every step is its own (Khan et al. 2024); greedy on the judge."""
    return greedy(task)


def subset(task: DebateTask, games: NDArray[Any]) -> DebateTask:
    """The task with some of its games."""
    return DebateTask(
        task.folder, task.game, task.k, task.answers, task.schedule, task.seed, task.inputs, task.more, task.legal,
        task.case[games], task.own[games], task.other[games], task.first[games], task.shown[games], task.judge,
    )  # fmt: skip


# -- search over sets


@lru_cache(maxsize=64)
def _sets(m: int, size: int) -> tuple[Ints, Ints]:
    """All sets of `size` of m items in lexicographic order: (S,) number of the set without its last item, among the
    sets one smaller; (S,) the last item."""
    if size == 1:
        return np.zeros(m, np.int64), np.arange(m)
    whole = np.array(list(combinations(range(m), size)), np.int64).reshape(-1, size)
    return _number(whole[:, :-1], m), whole[:, -1]


@lru_cache(maxsize=64)
def _larger(m: int, size: int) -> NDArray[np.int32]:
    """(S, m - size) numbers of the sets that have one item more, for every set of `size` of m items."""
    sets = np.array(list(combinations(range(m), size)), np.int64).reshape(-1, size)
    inside = np.zeros((len(sets), m), bool)
    np.put_along_axis(inside, sets, True, 1)
    more = np.nonzero(~inside)[1].reshape(len(sets), m - size)
    grown = np.concatenate([np.repeat(sets[:, None], m - size, 1), more[:, :, None]], 2)
    return _number(np.sort(grown, 2).reshape(-1, size + 1), m).reshape(len(sets), m - size).astype(np.int32)


def _number(sets: Ints, m: int) -> Ints:
    """(S, j) increasing items of m -> (S,) their place in lexicographic order."""
    j = sets.shape[1]
    choose_table = _pascal(m, j)
    # all sets, less those that come later: the combinatorial number system counted from the end
    mirrored = m - 1 - sets
    later = sum(choose_table[mirrored[:, i], j - i] for i in range(j))
    return np.asarray(choose_table[m, j] - 1 - later, np.int64)


@lru_cache(maxsize=64)
def _pascal(m: int, j: int) -> Ints:
    table = np.zeros((m + 1, j + 1), np.int64)
    table[:, 0] = 1
    for n in range(1, m + 1):
        table[n, 1:] = table[n - 1, 1:] + table[n - 1, :-1]
    return table


@dataclass(frozen=True)
class _Batch:
    """Positions of games with as many open items and reveals left. cases: (u,), shown: (u, turn), items: (u, m) of the
    distinct states; state: (p,) whose position it is; own, other: (p,); ours: (depth,) whose step it is, first ours.
    games: (g,) and at: (g,) which games, and which position each of them has."""

    depth: int
    cases: Ints
    shown: Ints
    items: Ints
    state: Ints
    own: Ints
    other: Ints
    ours: NDArray[np.bool_]
    games: Ints
    at: Ints

    def write(self, values: Floats, found: Floats) -> None:
        """Write (p, m) values of positions to the games that have them."""
        values[self.games[:, None], self.items[self.state[self.at]]] = found[self.at]


def _batches(task: DebateTask, depth: int) -> Iterator[_Batch]:
    turn, free = task.turn, task.open()
    count = free.sum(1)
    kinds = np.column_stack([turn, count, task.first])
    for now, m, first in np.unique(kinds, axis=0):
        every = np.flatnonzero((kinds == (now, m, first)).all(1))
        deep = int(min(depth, task.k - now, m))
        if m == 0:
            continue  # nothing is left to reveal
        ours = (task.schedule[now : now + deep] == 0) == bool(first)
        rows = np.column_stack([task.case[every], np.sort(task.shown[every], 1)])
        _, one, state = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        state = state.ravel()
        together = max(1, ROWS // max(1, int(_pascal(int(m), deep)[m, deep])))
        for start in range(0, len(one), together):
            lead = every[one[start : start + together]]
            mine = np.flatnonzero((state >= start) & (state < start + together))
            games = every[mine]
            pairs = np.column_stack([state[mine] - start, task.own[games], task.other[games]])
            position, at = np.unique(pairs, axis=0, return_inverse=True)
            yield _Batch(
                deep, task.case[lead], np.sort(task.shown[lead], 1)[:, task.k - now :],
                np.nonzero(free[lead])[1].reshape(-1, m), position[:, 0], position[:, 1], position[:, 2], ours, games,
                at.ravel(),
            )  # fmt: skip


def _searched(
    task: DebateTask, batch: _Batch, share: float, model: Model, leaf: Leaf, heat: float
) -> Floats:
    """(p, m) values of the open items of every position."""
    m, deep = batch.items.shape[1], batch.depth
    sums = task.judge.sums(batch.cases, batch.shown)[:, None]
    parts = task.judge.parts[batch.cases[:, None], batch.items]
    read = {}
    for size in range(1, deep + 1):
        before, last = _sets(m, size)
        sums = sums[:, before] + parts[:, last]
        foreseen = model == "greedy" and share < 1 and size > 1 and not batch.ours[size - 1]
        if size == deep or foreseen:
            read[size] = task.judge.read(sums)
    values = np.empty((len(batch.state), m), np.float32)
    for p, (state, own, other) in enumerate(zip(batch.state, batch.own, batch.other, strict=True)):
        margins = {size: logits[state, :, own] - logits[state, :, other] for size, logits in read.items()}
        value = margins[deep]
        if leaf == "chance":
            value = 1 / (1 + np.exp(-np.clip(value / np.float32(heat), -30, 30)))
        for size in range(deep - 1, 0, -1):
            larger = _larger(m, size)
            options = value[larger]
            if batch.ours[size]:
                value = options.max(1)
                continue
            value = options.min(1)
            if share < 1 and model == "mean":
                value = share * value + (1 - share) * options.mean(1)
            elif share < 1:
                likely = margins[size + 1][larger].argmin(1)
                value = share * value + (1 - share) * np.take_along_axis(options, likely[:, None], 1)[:, 0]
        values[p] = value
    return values


def _states(task: DebateTask) -> Iterator[tuple[Ints, Ints]]:
    """Every distinct (case, set): the items shown, and the games that are there."""
    if not len(task.case):
        return
    rows = np.column_stack([task.case, np.sort(task.shown, 1)])
    _, state = np.unique(rows, axis=0, return_inverse=True)
    order = np.argsort(state.ravel(), kind="stable")
    for games in np.split(order, np.flatnonzero(np.diff(state.ravel()[order])) + 1):
        shown = np.sort(task.shown[games[0]])
        yield shown[shown >= 0], games


# -- Monte-Carlo tree search


def _uct(task: DebateTask, playouts: int, explore: float, heat: float) -> Floats:
    """(g, I) visits. One tree a game, all grown together: a node is a path of moves; node 0 is the position now."""
    rng = np.random.default_rng(task.seed)
    g, items = len(task.case), task.legal.shape[1]
    every = np.arange(g)
    child = np.zeros((g, playouts + 1, items), np.int32)
    visits = np.zeros((g, playouts + 1, items), np.float32)
    total = np.zeros((g, playouts + 1, items), np.float32)
    mine, turn, free = task.mine(), task.turn, task.open()
    start = task.judge.sums(task.case, task.shown)
    for n in range(1, playouts + 1):
        node, inside = np.zeros(g, np.int64), np.ones(g, bool)
        left, sums = free.copy(), start.copy()
        path: list[tuple[Ints, Ints, NDArray[np.bool_]]] = []
        for step in range(int((task.k - turn).max())):
            going = (turn + step < task.k) & left.any(1)
            here = np.minimum(turn + step, task.k - 1)
            random = rng.random((g, items), dtype=np.float32)
            seen, won = visits[every, node], total[every, node]
            mean = won / np.maximum(seen, 1)
            mean = np.where(mine[every, here][:, None], mean, 1 - mean)
            bonus = np.sqrt(np.log(1 + seen.sum(1, keepdims=True)) / np.maximum(seen, 1))
            score = np.where(seen > 0, mean + np.float32(explore) * bonus, 1e3 + random)
            score = np.where(inside[:, None], score, random)
            move = np.where(left, score, NEVER).argmax(1)
            path.append((node.copy(), move, inside & going))
            sums += task.judge.parts[task.case, move] * going[:, None]
            left[every[going], move[going]] = False
            below = child[every, node, move].astype(np.int64)
            grow = inside & going & (below == 0)
            child[every[grow], node[grow], move[grow]] = n
            node = np.where(inside & going & ~grow, below, node)
            inside = inside & going & ~grow
        logits = task.judge.read(sums)
        margin = logits[every, task.own] - logits[every, task.other]
        value = 1 / (1 + np.exp(-np.clip(margin / np.float32(heat), -30, 30)))
        for at, move, counted in path:
            rows = every[counted]
            visits[rows, at[counted], move[counted]] += 1
            total[rows, at[counted], move[counted]] += value[counted]
    first = visits[:, 0] + total[:, 0] / np.maximum(visits[:, 0], 1) * np.float32(0.5)
    return np.where(free, first, NEVER)


# -- self-play

FEATURES = 6


def _worth(task: DebateTask, weights: Floats) -> Floats:
    """(g, I) learned worth of the position after each move."""
    found = np.full((len(task.case), task.legal.shape[1]), NEVER)
    for state, games in _states(task):
        case, items = int(task.case[games[0]]), np.flatnonzero(task.open()[games[0]])
        shown = np.concatenate([np.tile(state, (len(items), 1)), items[:, None]], 1)
        x = _features(task, np.full(len(items), case), shown, task.own[games], task.other[games])
        found[np.ix_(games, items)] = (x @ weights[shown.shape[1]]).T
    return found


def _features(task: DebateTask, case: Ints, shown: Ints, own: Ints, other: Ints) -> Floats:
    """(s, p, FEATURES) of s positions of one case seen by p pairs of answers: the margin now; how far the single next
    item could take it up and down; its mean over next items; the most that a third answer has over ours; one."""
    sums = task.judge.sums(case, shown)
    items = np.flatnonzero(task.legal[case[0]])
    after = task.judge.read(sums[:, None] + task.judge.parts[case[0], items][None])
    now = task.judge.read(sums)
    margin = now[:, own] - now[:, other]
    fresh = ~(items[None, :, None] == shown[:, None, :]).any(2)
    moved = after[:, :, own] - after[:, :, other] - margin[:, None]
    best = np.where(fresh[..., None], moved, -np.inf).max(1)
    worst = np.where(fresh[..., None], moved, np.inf).min(1)
    mean = np.where(fresh[..., None], moved, 0).sum(1) / np.maximum(fresh.sum(1), 1)[:, None]
    third = now.max(1, keepdims=True) - now[:, own]
    return np.stack([margin, best, worst, mean, third, np.ones_like(margin)], 2).astype(np.float32)


def _learn(
    task: DebateTask, weights: Floats, rng: np.random.Generator, games: int, dice: float, ridge: float
) -> Floats:
    """One round of self-play: positions seen, who won them, and new weights for every number of items shown."""
    case = rng.integers(len(task.legal), size=games)
    pair = np.argsort(rng.random((games, task.answers)), axis=1)[:, :2]
    shown = np.full((games, task.k), -1, np.int64)
    seen: list[list[Floats]] = [[] for _ in range(task.k + 1)]
    for step in range(task.k):
        side = int(task.schedule[step])
        now = DebateTask(
            task.folder, task.game, task.k, task.answers, task.schedule, task.seed, task.inputs, task.more,
            task.legal, case, pair[:, side], pair[:, 1 - side], np.full(games, side == 0), shown, task.judge,
        )  # fmt: skip
        values = lookahead(now, depth=1) if step >= task.k - 1 else _worth(now, weights)
        by_chance = np.where(now.open(), rng.random(values.shape, dtype=np.float32), NEVER)
        shown[:, step] = np.where(rng.random(games) < dice, by_chance.argmax(1), values.argmax(1))
        for i in range(games):
            x = _features(task, case[i : i + 1], shown[i : i + 1, : step + 1], pair[i, :1], pair[i, 1:])
            seen[step + 1].append(x[0, 0])
    logits = task.judge.logits(case, shown)
    rows = np.arange(games)
    won = np.sign(logits[rows, pair[:, 0]] - logits[rows, pair[:, 1]]).astype(np.float32)
    learned = weights.copy()
    for step in range(1, task.k):
        x = np.stack(seen[step])
        learned[step] = np.linalg.solve(x.T @ x / games + ridge * np.eye(FEATURES), x.T @ won / games)
    return learned
