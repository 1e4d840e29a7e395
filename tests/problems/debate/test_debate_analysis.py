"""The analysis and the replays, on a testbed that takes milliseconds."""

import json
from pathlib import Path

import numpy as np
import pytest
from small import Small

from aarlab.kit.debate import space
from aarlab.problems.debate import analysis, matches, referee
from aarlab.problems.debate.problem import Debate
from aarlab.problems.debate.replay import lab_debates, recorded
from aarlab.report import replay as pages


@pytest.fixture
def problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Debate:
    monkeypatch.setenv("AARLAB_CACHE", str(tmp_path / "cache"))
    return Debate(Small(), tmp_path / "vault")


def test_the_table_says_what_was_measured(problem: Debate) -> None:
    parts = [analysis.judged(problem, i) for i in range(4)]
    table = json.loads(json.dumps(analysis.table(problem, parts), allow_nan=False))
    assert table["instances"] == 4 and table["n"] == 30
    against = table["honest"]
    assert set(against) == set(matches.DEBATERS)
    assert against["random"]["two-ply"]["mean"] < against["two-ply"]["two-ply"]["mean"]
    assert table["honest_against_its_worst"]["greedy"]["mean"] == min(v["mean"] for v in against["greedy"].values())
    elo = {n: e["mean"] for n, e in table["ratings"]["elo"].items()}
    assert elo["random"] == min(v for n, v in elo.items() if n in matches.DEBATERS)
    assert abs(sum(v for n, v in elo.items() if n in matches.DEBATERS)) < 1
    assert elo["holding the truth"] > 0
    assert table["label_free"]["views"] == 6
    assert table["forfeits"].pop("kit") == 0 and set(table["forfeits"].values()) == {1.0}
    bins = table["calibration"]["after a debate"]["reliability"]
    assert sum(b["count"] for b in bins) == 4 * 30
    assert "matched control" in table["says"] and "published" not in table["says"]


def test_words_follow_the_interval() -> None:
    scores = {n: analysis.accuracy(_constant(0.5)) for n in ("label_free", "label_free control", "floor", "two-ply against two-ply")}

    def said(low: float, high: float) -> str:
        beats = analysis.Score((low + high) / 2, 0.01, low, high, 3, 9)
        return analysis._says(4, scores, beats, beats)

    assert " beats its matched control" in said(0.01, 0.03) and "more than the" in said(0.01, 0.03)
    assert "is beaten by its matched control" in said(-0.03, -0.01)
    assert "does not differ from its matched control" in said(-0.01, 0.03) and "not more than the" in said(-0.01, 0.03)


def _constant(value: float) -> analysis.Outcomes:
    return analysis.Outcomes(np.full(9, value), np.repeat(np.arange(3), 3), np.tile(np.arange(3), 3), np.zeros(9, bool))


def test_a_match_is_what_the_referee_plays(problem: Debate) -> None:
    """The kit's debater against the lab's liar, in the analysis and as a method, wins the same games."""
    instance = problem.sealed("final", 0, b"x")
    s = referee.setting(instance)
    record = problem.direct(instance, space.BASELINES["two-ply"]).reshape(s.shape)
    games = matches.honest_against_liars(s)
    names = list(games.players)
    mine = games.won[(games.one == names.index("two-ply")) & (games.two == names.index("greedy"))]
    assert np.array_equal(mine, referee.wins(record, s.y)[:, referee.POOL.index("greedy")])


def test_the_control_has_as_many_views_of_as_many_items(problem: Debate) -> None:
    s = referee.setting(problem.sealed("final", 0, b"x"))
    shown = matches.views(s, 5, 0)
    assert shown.shape == (5, len(s.y), s.k)
    assert s.legal[np.arange(len(s.y))[None, :, None], shown].all()
    assert (np.diff(np.sort(shown, 2), axis=2) > 0).all()
    games = matches.round_robin(s)
    assert len(games.case) == len(s.y) * s.answers * (s.answers - 1) // 2
    assert 0.3 < games.first.mean() < 0.7


def test_round_robin_gives_the_answer_that_beats_the_others() -> None:
    class S:
        y, answers = np.zeros(1), 3

    case, a, b = np.zeros(3, int), np.array([0, 0, 1]), np.array([1, 2, 2])
    assert matches.answers(S, case, a, b, np.array([-1.0, 1.0, 2.0])) == [1]
    assert matches.answers(S, case, a, b, np.array([-1.0, 3.0, -2.0])) == [0]  # all won once: margins decide


def test_a_weaker_judge_is_measured_against_its_own_lies(problem: Debate) -> None:
    figures = analysis.weaker(problem, range(3))
    assert figures["share"] == analysis.WEAKER
    assert 0 < figures["floor"]["mean"] < 1 and figures["floor"]["seeds"] == 3


def test_replays_show_what_was_played(problem: Debate) -> None:
    instance = problem.sealed("final", 0, b"x")
    s = referee.setting(instance)
    record = problem.direct(instance, space.BASELINES["two-ply"])
    games = recorded(instance, record, "which?", 6)
    assert 1 < len(games) <= 6 and len({g["won"] for g in games}) == 2
    table = record.reshape(s.shape)
    for game in games:
        assert len(game["steps"]) == s.k
        assert sum(step["side"] == "truth" for step in game["steps"]) == s.k // 2
        assert game["won"] == (game["steps"][-1]["belief"] > 0.5)
    verdicts = np.round(table[..., -1], 4)
    assert all((verdicts == g["steps"][-1]["belief"]).any() for g in games)
    assert json.loads(json.dumps(lab_debates(instance, "which?"), allow_nan=False))


def test_a_page_of_replays_holds_hostile_text_as_text(tmp_path: Path) -> None:
    hostile = "</script><script>alert(1)</script><!--"
    game = {
        "question": hostile, "truth": hostile, "lie": "b", "image": None, "sentences": [hostile], "legal": [True],
        "before": 0.5, "steps": [{"item": 0, "side": "truth", "belief": 0.7}], "won": True, "whole": True,
    }
    pages.write(tmp_path / "replay.html", hostile, [game])
    text = (tmp_path / "replay.html").read_text()
    assert text.count("<script") == 2 and "alert(1)</script>" not in text
    data = text.split('type="application/json">')[1].split("</script>")[0]
    assert json.loads(data)[0]["sentences"] == [hostile]
    assert "Content-Security-Policy" in text and "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert not list(tmp_path.glob(".*"))
