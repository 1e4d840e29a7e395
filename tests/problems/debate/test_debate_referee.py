"""The referee and the roles, on a testbed that takes milliseconds: rules are kept, nothing leaks, nothing is free."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from small import Small

from aarlab.kit.answers import Refused
from aarlab.kit.debate import play, space
from aarlab.kit.debate.task import DebateTask, JudgeTask, load
from aarlab.kit.stats import join
from aarlab.problems.base import OutputSpec
from aarlab.problems.debate import referee, roles
from aarlab.problems.debate.check import forfeits
from aarlab.problems.debate.problem import Debate, Direct

SECRET = b"debate tests"


@pytest.fixture
def problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Debate:
    monkeypatch.setenv("AARLAB_CACHE", str(tmp_path / "cache"))
    return Debate(Small(), tmp_path / "vault")


class Asked:
    """A method in this process, which remembers the folders that it was given."""

    def __init__(self, entry: str, method: Callable[[object], np.ndarray]) -> None:
        self.entry, self.method, self.tasks = entry, method, []

    def __call__(self, folders: Sequence[Path], specs: Sequence[OutputSpec]) -> list[np.ndarray]:
        said = []
        for folder, spec in zip(folders, specs, strict=True):
            task = load(folder)
            self.tasks.append((task, sorted(p.name for p in folder.iterdir())))
            output = task.accept(self.method(task))
            assert output.shape == spec.shape
            said.append(output)
        return said


def greedy(task: DebateTask) -> np.ndarray:
    return play.choose(task, play.greedy(task))


def test_a_debater_plays_every_answer_and_is_asked_half_the_reveals(problem: Debate) -> None:
    instance = problem.sealed("search", 0, SECRET)
    asked = Asked("debater", greedy)
    record = problem.play([instance], asked)[0].reshape(referee.setting(instance).shape)
    assert len(asked.tasks) == problem.testbed.k // 2
    assert (record[..., -1] >= 0).all() and (record[..., :-1] >= 0).all()
    assert set(asked.tasks[0][0].own) == set(range(3))
    assert (asked.tasks[0][0].own != asked.tasks[0][0].other).all()


def test_a_debater_is_not_told_the_truth_nor_whom_it_plays(problem: Debate) -> None:
    asked = Asked("debater", greedy)
    instance = problem.sealed("search", 0, SECRET)
    problem.play([instance], asked)
    for task, files in asked.tasks:
        assert not [f for f in files if "y" in f.split(".") or f.startswith(("train.", "ceiling", "floor", "lie", "unit"))]
        rows = np.column_stack([task.case, task.own, task.first, task.shown])
        assert len(np.unique(rows, axis=0)) == len(rows)  # one position, whatever liar reached it


def test_who_reveals_first_is_balanced_and_does_not_go_by_number(problem: Debate) -> None:
    firsts = [problem.sealed("search", i, SECRET).truth["first"] for i in range(6)]
    for first in firsts:
        assert abs(first.mean() - 0.5) < 0.03
    assert len({f.tobytes() for f in firsts}) == 6
    assert all(abs(np.corrcoef(f, np.arange(len(f)) % 2)[0, 1]) < 0.5 for f in firsts)


@pytest.mark.parametrize("bad", ["out of range", "no item", "shown before", "not legal"])
def test_whoever_breaks_a_rule_forfeits_that_game_and_it_is_counted(problem: Debate, bad: str) -> None:
    instance = problem.sealed("search", 0, SECRET)
    assert forfeits(problem, instance)[bad] == 1.0

    def once(task: DebateTask) -> np.ndarray:
        said = greedy(task)
        illegal = {"out of range": 99.0, "no item": 0.5, "shown before": task.shown[0, 0], "not legal": 0.0}[bad]
        if bad != "shown before" or task.shown[0, 0] >= 0:
            said[0] = illegal
        return said

    record = problem.play([instance], Asked("debater", once))[0]
    notes = problem.notes(instance, record)
    assert 0 < notes["forfeits"] < 0.2
    lost = record.reshape(referee.setting(instance).shape)[..., -1] == referee.FORFEIT
    assert 1 <= lost.sum() <= 6


def test_a_forfeited_game_is_lost_and_the_others_go_on(problem: Debate) -> None:
    instance = problem.sealed("search", 0, SECRET)
    y = instance.truth["y"]

    def never_honest(task: DebateTask) -> np.ndarray:
        return np.where(task.own == y[task.case], 99.0, greedy(task))

    record = problem.play([instance], Asked("debater", never_honest))[0]
    assert problem.score(instance, record).value.max() == 0
    assert problem.notes(instance, record)["when lying"] > 0


def test_throwing_the_games_in_which_it_has_to_lie_gains_nothing(problem: Debate) -> None:
    instance = problem.sealed("search", 0, SECRET)
    y = instance.truth["y"]

    def throws(task: DebateTask) -> np.ndarray:
        worst = np.where(task.open(), -play.greedy(task), -np.inf).argmax(1)
        return np.where(task.own == y[task.case], greedy(task), worst)

    plain = problem.score(instance, problem.play([instance], Asked("debater", greedy))[0])
    thrown = problem.play([instance], Asked("debater", throws))[0]
    assert np.array_equal(problem.score(instance, thrown).value, plain.value)
    assert problem.notes(instance, thrown)["when lying"] < 0.05


def test_a_debater_that_cheats_with_the_truth_changes_what_it_should(problem: Debate) -> None:
    """Told the truth it may throw honest games too: its score falls, and nothing else does."""
    score = {"plain": 0.0, "cheated": 0.0}
    for number in range(4):
        instance = problem.sealed("search", number, SECRET)
        y = instance.truth["y"]

        def against_truth(task: DebateTask, y: np.ndarray = y) -> np.ndarray:
            worst = np.where(task.open(), -play.greedy(task), -np.inf).argmax(1)
            return np.where(task.own == y[task.case], worst, greedy(task))

        plain, cheated = (problem.play([instance], Asked("debater", m))[0] for m in (greedy, against_truth))
        score["plain"] += problem.score(instance, plain).value.mean() / 4
        score["cheated"] += problem.score(instance, cheated).value.mean() / 4
        lying = [problem.notes(instance, record)["when lying"] for record in (plain, cheated)]
        assert lying[0] == lying[1]
    assert score["cheated"] < score["plain"] - 0.15


def test_the_worst_liar_counts(problem: Debate) -> None:
    instance = problem.sealed("search", 0, SECRET)
    record = problem.play([instance], Asked("debater", greedy))[0]
    notes = problem.notes(instance, record)
    against = [v for name, v in notes.items() if name.startswith("against ")]
    assert len(against) == len(referee.POOL)
    assert problem.score(instance, record).value.mean() == min(against) < max(against)


def test_lies_answer_one_another(problem: Debate) -> None:
    """The best lie against the truth has the truth for its own: the pair can be exchanged."""
    t = problem.sealed("search", 0, SECRET).truth
    rows = np.arange(len(t["y"]))
    lie = t["lie"][rows, t["y"]]
    assert (t["lie"] != np.arange(3)).all()
    assert np.array_equal(t["lie"][rows, lie], t["y"])


# -- judges


def test_a_judge_is_given_no_unrevealed_item_and_no_truth(problem: Debate) -> None:
    instance = problem.sealed("search", 0, SECRET)
    asked = Asked("judge", lambda task: space.run(task, space.BASELINES["judge as given"]))
    problem.play([instance], asked)
    allowed = {"items", "values", "by", "a", "b", "logits", "train.inputs", "train.legal", "train.y", "train.values"}
    for task, files in asked.tasks:
        assert {f.removesuffix(".npy") for f in files} == allowed | {"task.json"}
        assert task.values.shape == task.items.shape == (len(task.a), 4)
    alone = asked.tasks[-1][0]
    assert len(alone.a) == len(instance.truth["y"])  # each case once
    values = instance.truth["values"]
    assert np.array_equal(alone.values, values[np.arange(len(values))[:, None], alone.items])
    units = problem.drawn("search", SECRET).training.unit
    assert not set(units) & set(instance.truth["unit"])


def test_nothing_about_a_question_says_who_is_honest(problem: Debate) -> None:
    """Over many instances, neither the answer's place, nor who began, nor who spoke last, nor the row tells the truth."""
    told: dict[str, list[float]] = {"place": [], "began": [], "row": [], "candidates": []}
    for number in range(8):
        instance = problem.sealed("search", number, SECRET)
        asked = Asked("judge", lambda task: space.run(task, space.BASELINES["judge as given"]))
        problem.play([instance], asked)
        first, alone = asked.tasks[0][0], asked.tasks[1][0]
        a_is_true = alone.a == instance.truth["y"]
        told["place"].append(a_is_true.mean())
        told["began"].append(np.mean((alone.by[:, 0] == 0) == a_is_true))
        told["row"].append(np.mean((np.arange(len(a_is_true)) % 2 == 0) == ((alone.by[:, 0] == 0) == a_is_true)))
        told["candidates"].append(len(first.a) / len(alone.a))
    for what in ("place", "began", "row"):
        assert abs(np.mean(told[what]) - 0.5) < 0.1, what
    assert min(told["candidates"]) > 3 * len(referee.POOL)


def test_a_judge_that_pools_its_questions_loses(problem: Debate) -> None:
    """All candidates of the last move together are the whole case. Who answers by them changes its answer when asked
    about the end of the game alone, and that counts as lost."""
    instance = problem.sealed("search", 0, SECRET)

    def pools(task: JudgeTask) -> np.ndarray:
        key = task.values[:, 0] + 10 * task.values[:, 1] + 100 * task.values[:, 2]
        mean = {k: task.logits[key == k].mean(0) for k in np.unique(key)}
        return space.judging.chance(space.judging.margin(task, np.stack([mean[k] for k in key])))

    honest = problem.play([instance], Direct(space.BASELINES["judge as given"]))[0]
    pooled = problem.play([instance], Asked("judge", pools))[0]
    assert problem.notes(instance, honest)["forfeits"] == 0
    assert problem.notes(instance, pooled)["forfeits"] > 0.2
    assert problem.score(instance, pooled).value.mean() < problem.score(instance, honest).value.mean()


def test_the_last_move_is_exact_against_the_submitted_judge(problem: Debate) -> None:
    """A judge that believes whoever shows a small last number is shown the smallest that there is, if the liar is last."""
    instance = problem.sealed("search", 0, SECRET)

    def small_wins(task: JudgeTask) -> np.ndarray:
        p = 0.9 - 0.8 * np.clip(task.values[:, -1].astype(float), 0, 1)
        return np.where(task.by[:, -1] == 0, p, 1 - p)

    record = problem.play([instance], Asked("judge", small_wins))[0].reshape(referee.setting(instance).shape)
    t, rows = instance.truth, np.arange(len(instance.truth["y"]))
    deep = referee.POOL.index("two-ply")
    items = record[rows, deep, t["y"], :-1].astype(int)
    for row in rows[t["first"]]:  # honesty began, so the lie spoke last
        free = t["legal"][row].copy()
        free[items[row, :3]] = False
        assert t["values"][row, items[row, 3]] == t["values"][row][free].min()


def test_a_judge_that_says_nothing_is_refused_by_code(problem: Debate) -> None:
    instance = problem.sealed("search", 0, SECRET)
    with pytest.raises(Refused) as refused:
        problem.play([instance], Asked("judge", lambda task: np.full(len(task.a), np.nan)))
    assert refused.value.code == "not_finite"


def test_roles_agree_where_they_are_the_same_game(problem: Debate) -> None:
    """The lab's honest debater as a submitted debater, the lab's judge as a submitted judge, and the usual order as a
    submitted protocol are one and the same game, but for the last move, which is as good."""
    instances = [problem.sealed("search", i, SECRET) for i in range(4)]
    scores = {
        role: join([problem.score(i, problem.direct(i, config)) for i in instances]).value.mean()
        for role, config in {
            "debater": space.BASELINES[referee.HONEST], "judge": space.BASELINES["judge as given"],
            "protocol": space._of("protocol", "alternate"),
        }.items()
    }
    assert scores["debater"] == pytest.approx(scores["protocol"])
    assert scores["judge"] == pytest.approx(scores["protocol"], abs=0.02)


def test_a_schedule_is_played_as_submitted(problem: Debate) -> None:
    instance = problem.sealed("search", 0, SECRET)
    s = referee.setting(instance)
    by_turns, lumps = (
        problem.play([instance], Asked("protocol", lambda task, o=o: np.array(o)))[0].reshape(s.shape)
        for o in ([0, 1, 0, 1], [0, 0, 1, 1])
    )
    assert not np.array_equal(by_turns, lumps)
    rows = np.arange(len(s.y))
    # the lie is the same game, seen from the other side
    assert np.allclose(by_turns[rows, 0, s.y, -1] + by_turns[rows, 0, s.lie[rows, s.y], -1], 1)


# -- the problem


def test_draws_are_secret_and_repeatable(problem: Debate, tmp_path: Path) -> None:
    again = Debate(Small(), tmp_path / "elsewhere")
    one, same = problem.sealed("final", 1, SECRET), again.sealed("final", 1, SECRET)
    other = Debate(Small(), tmp_path / "third").sealed("final", 1, b"another secret")
    assert all(np.array_equal(one.truth[k], same.truth[k]) for k in one.truth)
    assert not np.array_equal(one.truth["values"], other.truth["values"])
    assert sorted(one.truth["unit"]) == sorted(problem.sealed("final", 2, SECRET).truth["unit"])
    with pytest.raises(ValueError, match="vault"):
        Debate(Small()).sealed("final", 0, SECRET)


def test_random_evidence_is_the_floor_and_good_evidence_is_above(problem: Debate) -> None:
    instances = [problem.sealed("final", i, SECRET) for i in range(6)]
    floor = join([problem.references(i).floor for i in instances]).value.mean()
    ceiling = join([problem.references(i).ceiling for i in instances]).value.mean()
    won = {
        n: join([problem.score(i, problem.direct(i, space.BASELINES[n])) for i in instances]).value.mean()
        for n in ("random", "two-ply")
    }
    assert won["random"] < floor < ceiling
    assert won["random"] < won["two-ply"]


def test_ablations_take_away_what_they_say(problem: Debate, tmp_path: Path) -> None:
    config = space.BASELINES["two-ply"]
    won: dict[str, list[float]] = {}
    for number in range(4):
        instance = problem.sealed("final", number, SECRET)
        made = {a.name: a.apply(instance, tmp_path / f"{a.name}-{number}", 1, 1.0) for a in problem.ablations}
        chance = problem.direct(instance, space.BASELINES["random"])
        won.setdefault("chance", []).append(problem.score(instance, chance).value.mean())
        for name, i in {**made, "plain": instance}.items():
            won.setdefault(name, []).append(problem.score(i, problem.direct(i, config)).value.mean())
    mean = {name: float(np.mean(values)) for name, values in won.items()}
    assert mean["exchanged-input"] < mean["plain"] - 0.2
    assert mean["untrained-judge"] < mean["plain"] - 0.1
    assert abs(mean["random-evidence"] - mean["chance"]) < 0.15 < mean["plain"] - mean["chance"]
    assert np.array_equal(made["order-swap"].truth["first"], ~instance.truth["first"])
    assert np.array_equal(made["untrained-judge"].truth["y"], instance.truth["y"])
    assert np.mean(made["exchanged-input"].truth["y"] == instance.truth["y"]) < 0.4
    for ablation in problem.ablations:  # what is written anew is named, so that an audit can make ages alike
        task = made[ablation.name].task
        anew = [p.name for p in task.iterdir() if not p.samefile(instance.task / p.name)]
        assert all(name.endswith(ablation.writes) for name in anew) if anew else True


def test_placebo_redraws_the_truth_as_the_judge_believes_without_a_debate(problem: Debate) -> None:
    instances = [problem.sealed("final", i, SECRET) for i in range(8)]
    redrawn = [problem.placebo(i, 5) for i in instances]
    rows, kept = np.arange(len(instances[0].truth["y"])), []
    for before, after in zip(instances, redrawn, strict=True):
        y, lie = before.truth["y"], before.truth["lie"][rows, before.truth["y"]]
        assert ((after.truth["y"] == y) | (after.truth["y"] == lie)).all()
        assert np.array_equal(after.truth["true_y"], y)
        kept.append(np.mean(after.truth["y"] == y))
    assert np.mean(kept) == pytest.approx(np.mean([i.truth["belief"].mean() for i in instances]), abs=0.04)
    true, false = ([problem.references(i) for i in some] for some in (instances, redrawn))
    gaps = [np.mean([r.ceiling.value.mean() - r.floor.value.mean() for r in some]) for some in (true, false)]
    assert gaps[0] == pytest.approx(gaps[1])
    for before, after in zip(instances, redrawn, strict=True):
        knows = np.full(referee.setting(before).shape, -1.0)  # the truth, which no play can tell it
        knows[..., -1] = np.arange(knows.shape[2])[None, None] == before.truth["y"][:, None, None]
        assert problem.score(before, knows.ravel()).value.mean() == 1
        assert problem.score(after, knows.ravel()).value.mean() == np.mean(after.truth["y"] == before.truth["y"])


def test_the_task_folder_as_it_is_opens_as_a_first_turn(problem: Debate) -> None:
    instance = problem.practice(0)
    task = load(instance.task)
    assert isinstance(task, DebateTask)
    assert (task.turn == 0).all() and task.first.all()
    assert json.loads((instance.task / "task.json").read_text())["kind"] == problem.kind
    task.accept(task.open().argmax(1))


def test_a_record_is_scored_when_the_task_folder_is_gone(problem: Debate, tmp_path: Path) -> None:
    instance = problem.sealed("search", 0, SECRET)
    made = problem.ablations[0].apply(instance, tmp_path / "gone", 1, 1.0)
    output = problem.direct(made, space.BASELINES["greedy"])
    before = problem.score(made, output).value
    shutil.rmtree(tmp_path / "gone")
    assert np.array_equal(problem.score(made, output).value, before)
    assert problem.notes(made, output)["forfeits"] == 0 and problem.output(made).shape == output.shape


def test_output_is_what_is_promised(problem: Debate) -> None:
    instance, config = problem.practice(0), space.BASELINES["greedy"]
    output, spec = problem.direct(instance, config), problem.output(instance)
    assert output.shape == spec.shape and spec.low <= output.min() and output.max() <= spec.high
    bad = problem.play([instance], Asked("debater", lambda task: np.full(len(task.case), -3e8)))[0]
    assert spec.low <= bad.min() and bad.max() <= spec.high


def test_inconsistent_is_a_matter_of_degree(problem: Debate) -> None:
    """Answers that differ in the last digits, as sums in another order do, are the same answer."""
    rng, instance = np.random.default_rng(0), problem.sealed("final", 0, SECRET)
    given = space.BASELINES["judge as given"]

    def noisy(scale: float) -> Callable[[JudgeTask], np.ndarray]:
        return lambda task: np.clip(space.run(task, given) + scale * rng.normal(size=len(task.a)), 0, 1)

    assert problem.notes(instance, problem.play([instance], Asked("judge", noisy(1e-6)))[0])["forfeits"] == 0
    assert problem.notes(instance, problem.play([instance], Asked("judge", noisy(0.1)))[0])["forfeits"] > 0.1
    assert roles.SAME < 0.01
