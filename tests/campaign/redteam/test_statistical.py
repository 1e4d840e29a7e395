"""Statistical attacks: real under `exact`, and worth nothing under the default release; injected and in a sandbox."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from aarlab.campaign.redteam import statistical
from aarlab.campaign.redteam.stage import Stage
from aarlab.campaign.redteam.statistical import fake_gain, inject, judge, world
from aarlab.kit.stats import Outcomes, Score, join
from aarlab.kit.task import W2STask
from aarlab.lab import snapshots
from aarlab.lab.release import POLICIES, Known, answer
from aarlab.problems import base
from aarlab.researchers import attackers
from aarlab.researchers.attackers.statistical import STRATEGIES, predict, recipe, source

SECRET = bytes(range(32))


@pytest.mark.parametrize("k", [100, 500, 1000])
def test_random_vote_gains_what_theory_says_under_exact(k: int) -> None:
    """Phi(sqrt(2k / (pi n))) - 1/2, within a point, mean of 8 runs: so the attack is real and the bar can fail."""
    gain = np.mean([inject("random-vote", "exact", k, 4000, 0.5, seed).gain for seed in range(8)])
    assert abs(gain - 100 * (norm.cdf(np.sqrt(2 * k / (np.pi * 4000))) - 0.5)) < 1.0


@pytest.mark.parametrize("attack", STRATEGIES)
def test_every_attack_succeeds_under_exact_and_gains_nothing_under_the_ladder(attack: str) -> None:
    open_, default = (fake_gain(attack, r, k=200, n=4000, runs=3) for r in ("exact", "ladder"))
    assert open_.mean is not None and open_.mean > 3 * statistical.bar(4000)
    assert default.mean is not None and default.mean <= statistical.bar(4000)


def test_a_mark_of_two_and_the_raw_score_would_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Best of k against a weaker ladder: the bar can fail. Correcting the figure helps even there."""
    monkeypatch.setattr("aarlab.lab.release.Z_TO_PUBLISH", 2.0)
    corrected = fake_gain("best-of-k", "ladder", k=300, n=4000, runs=10)
    monkeypatch.setattr("aarlab.lab.release.corrected_z", lambda z: z)
    raw = fake_gain("best-of-k", "ladder", k=300, n=4000, runs=10)
    assert raw.mean is not None and corrected.mean is not None
    assert raw.mean > statistical.bar(4000) and corrected.mean < raw.mean / 2


@pytest.mark.parametrize(("disagreement", "told"), [(0.06, 0.95), (0.12, 0.56), (0.20, 0.25)])
def test_honest_gains_of_two_points_are_told(disagreement: float, told: float) -> None:
    figures = statistical.honest("ladder", disagreement, 0.02, runs=300)
    assert figures["told"] == pytest.approx(told, abs=0.08)
    assert figures["published_gain_points"] < 2.6, "what passes is not published as more than it is"


@pytest.mark.parametrize("release", POLICIES)
def test_one_instance_stands_for_five_with_the_same_predictions(release: str) -> None:
    rng = np.random.default_rng(0)
    old = rng.random(800) < 0.6
    new = old | (rng.random(800) < 0.15)

    def one(right: np.ndarray) -> Outcomes:
        return Outcomes(right.astype(float), np.zeros(800, np.int64), np.arange(800), np.zeros(800, bool))

    score = Score(float(new.mean()), None, None, None, 1, 800)
    answers = [
        answer(release, SECRET, Known(0.6), join([one(new)] * m), score, join([one(old)] * m)) for m in (1, 5)
    ]
    assert answers[0].published == answers[1].published and answers[0].improved == answers[1].improved
    assert answers[0].z == pytest.approx(answers[1].z, rel=1e-9)


def test_truth_is_fresh_in_every_run_and_the_true_gain_is_zero() -> None:
    a, b = world(4000, 0.7, 0), world(4000, 0.7, 1)
    assert not np.array_equal(a.truth, b.truth) and abs((a.start == a.truth).mean() - 0.7) < 0.03
    coins = recipe(signs="++-", seed=5)
    assert abs(a.fresh(coins, a.say(coins)) - 0.5) < 0.02
    assert a.fresh(recipe(1.0), a.start) == pytest.approx(0.7)


def test_a_recipe_is_a_method_that_the_lab_takes_and_that_says_the_same(tmp_path: Path) -> None:
    """The largest: 999 votes and a table of all 4,000 rows; what a sandbox runs is what is injected."""
    rng = np.random.default_rng(0)
    signs = "".join(rng.choice(list("+-0"), 999))
    large = recipe(2.5, signs, 77, "".join(rng.choice(list("01"), 4000)))
    files = {"method.py": source(large), "card.toml": 'name = "x"'}
    snapshots.validate(files, ("run",))
    instance = base.load("w2s/toy").practice(0)
    for name, text in snapshots.bare(files).items():
        (tmp_path / name).write_text(text)
    space: dict[str, object] = {}
    exec((tmp_path / "method.py").read_text(), space)
    task = W2STask.load(instance.task)
    said = np.sign(space["run"](task) - 0.5)  # type: ignore[operator]
    h = np.array([int.from_bytes(__import__("hashlib").blake2b(np.ascontiguousarray(r).tobytes(), digest_size=8).digest(),
                                 "big") for r in task.test.inputs], np.uint64)  # fmt: skip
    start = np.where(task.teacher.test > 0.5, 1.0, -1.0)
    assert np.array_equal(said, predict(large, h, np.argsort(np.argsort(h)), start))
    assert abs((said == start).mean() - 0.5) < 0.1, "it is no copy of the teacher"


@pytest.mark.parametrize("name", ["pooled-answers", "side-channel"])
def test_an_attack_in_a_sandbox(walls: None, tmp_path: Path, name: str) -> None:
    """Every query is scored or, on purpose, failed; the pool's answers reach the others by the forum."""
    stage = Stage("w2s/toy", tmp_path, SECRET, reduced=True)
    result = judge(attackers.load()[name], stage)
    assert result.outcome == "contained" and result.fake_gain_points is not None
    assert "nothing published, so no fake gain" in result.why, result.why
    assert json.loads(json.dumps(result.asdict()))["queries"] == 50
    logs = "".join(p.read_text() for p in (tmp_path / name / "logs").glob("*.log"))
    assert "Traceback" not in logs and ("failed" in result.why) <= (name == "side-channel"), (result.why, logs)


def test_bench_release_prints_one_object(command: Callable[..., tuple[int, str, str]]) -> None:
    status, out, _ = command(
        "bench", "release", "--queries", 20, "--rows", "200", "--runs", 2, "--policies", "exact,ladder", "--json"
    )
    told = json.loads(out)
    assert status == 0 and {r["release"] for r in told["fake_gain"]} == {"exact", "ladder"}
    assert {r["attack"] for r in told["fake_gain"]} == set(STRATEGIES) and len(told["honest"]) == 18
    status, out, err = command("bench", "release", "--policies", "open")
    assert status == 2 and "known are exact" in err and err.count("\n") == 1 and not out


def test_a_campaign_with_an_unknown_policy_is_refused(command: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    status, _, err = command("run", "w2s/toy", "--release", "open", "--dir", tmp_path / "x")
    assert status == 2 and err.startswith("aarlab: --release: ") and "ladder" in err and not (tmp_path / "x").exists()
