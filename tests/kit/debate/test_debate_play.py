"""Strategies against the truth: exact play is exact, tree search comes to it, and nobody moves out of turn."""

from dataclasses import replace

import numpy as np
import pytest
from games import brute, task

from aarlab.kit.debate import play
from aarlab.kit.debate.task import NOTHING, Judge


@pytest.mark.parametrize("schedule", [[0, 1, 0, 1], [0, 0, 1, 1], [0, 1, 1, 0]])
def test_minimax_over_sets_is_minimax(schedule: list[int]) -> None:
    t = task(1, n=2, schedule=schedule)
    values = play.lookahead(t, depth=4)
    for g in range(0, len(t.case), 3):
        for item in np.flatnonzero(t.legal[t.case[g]]):
            assert values[g, item] == pytest.approx(brute(t, g, (int(item),)), abs=1e-4)


def test_minimax_in_the_middle_of_a_game_and_for_the_second_side() -> None:
    t = task(2, n=2)
    shown = t.shown.copy()
    shown[:, 0] = 3
    t = replace(t, shown=shown, first=np.zeros(len(t.case), bool))
    values = play.lookahead(t, depth=9)  # deeper than the game is long
    for g in range(len(t.case)):
        for item in np.flatnonzero(t.open()[g]):
            assert values[g, item] == pytest.approx(brute(t, g, (3, int(item))), abs=1e-4)


def test_depth_one_is_the_margin_right_after_the_move() -> None:
    t = task(3)
    values = play.greedy(t)
    for item in (2, 5):
        shown = t.shown.copy()
        shown[:, 0] = item
        logits, rows = t.judge.logits(t.case, shown), np.arange(len(t.case))
        assert np.allclose(values[:, item], logits[rows, t.own] - logits[rows, t.other], atol=1e-5)


def test_the_order_of_what_is_shown_does_not_matter() -> None:
    t = task(4)
    shown = t.shown.copy()
    shown[:, :2] = 3, 5
    turned = t.shown.copy()
    turned[:, :2] = 5, 3
    assert np.array_equal(play.lookahead(replace(t, shown=shown), depth=2), play.lookahead(replace(t, shown=turned), depth=2))


def test_tree_search_comes_to_the_exact_move() -> None:
    t = task(5, n=2, items=5)
    exact = play.lookahead(t, depth=4)
    best = exact.max(1)

    def regret(playouts: int) -> float:
        moves = play.choose(t, play.monte_carlo(t, playouts=playouts, exact=0, explore=0.7, heat=0.5)).astype(int)
        return float(np.mean(best - exact[np.arange(len(moves)), moves]))

    assert regret(3000) < 0.1
    assert regret(3000) < 0.5 * regret(5)


def test_an_opponent_who_is_greedy_is_foreseen() -> None:
    """Against a greedy reply the values are those of playing it out, and never below the worst case."""
    t = task(6)
    worst = play.lookahead(t, depth=2)
    foreseen = play.lookahead(t, depth=2, share=0.0, model="greedy")
    open_items = t.open()
    assert np.allclose(foreseen[open_items], worst[open_items])  # two reveals ahead the greedy reply is the worst
    deep, worst = play.lookahead(t, depth=4, share=0.0, model="greedy"), play.lookahead(t, depth=4)
    assert (deep[open_items] >= worst[open_items] - 1e-4).all()
    assert (deep[open_items] > worst[open_items] + 1e-3).any()


STRATEGIES = {
    "dice": play.dice, "greedy": play.greedy, "lookahead": lambda t: play.lookahead(t, depth=3),
    "mean": lambda t: play.lookahead(t, depth=3, share=0.4, leaf="chance", heat=2.0),
    "monte_carlo": lambda t: play.monte_carlo(t, playouts=20), "influence": lambda t: play.influence(t, samples=60),
    "self_play": lambda t: play.self_play(t, games=30),
}


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_plays_legal_games_to_the_end(name: str) -> None:
    t = task(7)
    for step in range(t.k):
        own_moves = replace(t, own=t.own if step % 2 == 0 else t.other, other=t.other if step % 2 == 0 else t.own,
                            first=np.full(len(t.case), step % 2 == 0))
        values = STRATEGIES[name](own_moves)
        assert np.array_equal(np.isfinite(values), own_moves.open())
        moves = play.choose(own_moves, values).astype(int)
        assert own_moves.open()[np.arange(len(moves)), moves].all()
        shown = t.shown.copy()
        shown[:, step] = moves
        t = replace(t, shown=shown)
    assert (t.shown >= 0).all()


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_says_the_same_twice(name: str) -> None:
    assert np.array_equal(STRATEGIES[name](task(8)), STRATEGIES[name](task(8)))


def test_the_better_strategy_wins_more() -> None:
    """From the first side, against a greedy second side: exact play does at least as well as greedy, and chance worse."""
    t = task(9, n=12, items=8)

    def margin(first: object) -> float:
        now = t
        for step in range(t.k):
            side = step % 2
            view = replace(now, own=now.own if side == 0 else now.other, other=now.other if side == 0 else now.own,
                           first=np.full(len(now.case), side == 0))
            values = first(view) if side == 0 else play.lookahead(view, depth=4)
            shown = now.shown.copy()
            shown[:, step] = play.choose(view, values)
            now = replace(now, shown=shown)
        logits, rows = now.judge.logits(now.case, now.shown), np.arange(len(now.case))
        return float(np.mean(logits[rows, now.own] - logits[rows, now.other]))

    chance, greedy, exact = margin(play.dice), margin(play.greedy), margin(lambda v: play.lookahead(v, depth=4))
    assert chance < greedy <= exact + 1e-6


def test_ties_are_broken_as_asked() -> None:
    t = task(10)
    values = np.where(t.open(), np.float32(1), -np.inf).astype("f4")
    assert np.array_equal(play.choose(t, values), t.open().argmax(1))
    assert (play.choose(t, values, tie="last") == 6).all()
    bright = play.choose(t, values, tie="bright").astype(int)
    assert np.array_equal(bright, np.where(t.open(), t.inputs[t.case], -1).argmax(1))
    near = values.copy()
    near[:, 6] = 1.05
    assert (play.choose(t, near) == 6).all()
    assert (play.choose(t, near, within=0.1) != 6).all()


def test_nothing_is_left_to_reveal() -> None:
    t = task(11, items=4)
    shown = np.tile(np.array([2, 3, NOTHING, NOTHING]), (len(t.case), 1))
    values = play.lookahead(replace(t, shown=shown), depth=2)
    assert not np.isfinite(values[t.case == 2]).any()


def test_a_judge_is_what_was_saved_of_it(tmp_path: object) -> None:
    t = task(12)
    t.judge.save(tmp_path)
    shown = np.tile(np.array([2, 3, 4, NOTHING]), (len(t.case), 1))
    assert np.array_equal(Judge.load(tmp_path).logits(t.case, shown), t.judge.logits(t.case, shown))
    turned = shown[:, [3, 1, 2, 0]]
    assert np.allclose(t.judge.logits(t.case, turned), t.judge.logits(t.case, shown), atol=1e-5)
