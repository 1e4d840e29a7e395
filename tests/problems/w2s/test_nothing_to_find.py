"""Under the placebo there is nothing to find: the teacher's answer is the best that can be said, whatever is read."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aarlab.kit import zoo
from aarlab.kit.stats import Outcomes, accuracy, difference, join
from aarlab.kit.task import W2STask
from aarlab.problems import base
from aarlab.problems.base import Instance, Problem

SEEDS = range(3)


@pytest.fixture(scope="module", params=["w2s/toy", "w2s/digits"])
def problem(request: pytest.FixtureRequest) -> Problem:
    return base.load(request.param)


@pytest.fixture(scope="module")
def instances(problem: Problem) -> list[Instance]:
    return [problem.practice(s) for s in SEEDS]


@pytest.fixture(scope="module")
def answers(problem: Problem, instances: list[Instance]) -> dict[str, list[np.ndarray]]:
    """What every untuned baseline and some tuned methods say of the instances; "peek" says the truth."""
    said: dict[str, list[np.ndarray]] = {}
    for i in instances:
        task = W2STask.load(i.task)
        for name in problem.baselines:
            said.setdefault(name, []).append(zoo.run(task, zoo.BASELINES[name]))
        for number in range(4):
            said.setdefault(f"control {number}", []).append(problem.control(0, number, i))
        said.setdefault("peek", []).append(i.truth["y"].astype(float))
        said.setdefault("against the teacher", []).append(1.0 - task.teacher.test)
    return said


def weak(instance: Instance) -> np.ndarray:
    return np.asarray(np.load(instance.task / "test.weak.npy"), np.float64)


def scored(problem: Problem, instances: list[Instance], outputs: list[np.ndarray]) -> Outcomes:
    return join([problem.score(i, o) for i, o in zip(instances, outputs, strict=True)])


def gain(problem: Problem, instances: list[Instance], outputs: list[np.ndarray]) -> tuple[float, float]:
    """Mean gain over the teacher, and its standard error over rows."""
    d = scored(problem, instances, outputs).value - scored(problem, instances, [weak(i) for i in instances]).value
    return float(d.mean()), float(d.std() / len(d) ** 0.5)


def test_floor_and_ceiling_are_the_real_ones_and_truth_is_not(problem: Problem, instances: list[Instance]) -> None:
    for i in instances:
        drawn, again, other = problem.placebo(i, 5), problem.placebo(i, 5), problem.placebo(i, 6)
        assert (drawn.truth["y"] == again.truth["y"]).all() and (drawn.truth["y"] != other.truth["y"]).any()
        assert (drawn.truth["y"] != i.truth["y"]).any() and drawn.task == i.task and drawn.key == i.key
        real, ours = problem.references(i), problem.references(drawn)
        assert ours.floor.value.mean() == real.floor.value.mean()
        assert (ours.ceiling.value == real.ceiling.value).all(), "gap recovered keeps its scale"
        assert all((drawn.truth[k] == i.truth[k]).all() for k in ("unit", "ood", "pool_y"))


def test_no_method_beats_the_teacher_and_each_loses_what_it_changes(
    problem: Problem, instances: list[Instance], answers: dict[str, list[np.ndarray]]
) -> None:
    """Whoever says otherwise than the teacher in a share d of the rows loses (1 - 2 e) d, e the teacher's error:
    nothing that can be read in the inputs changes that, not even the truth."""
    drawn = [problem.placebo(i, 11) for i in instances]
    for name, outputs in answers.items():
        got, se = gain(problem, drawn, outputs)
        lost = []
        for i, output in zip(drawn, outputs, strict=True):
            e = 1 - float(problem.score(i, weak(i)).value.mean())
            lost.append((1 - 2 * e) * float(np.mean((output > 0.5) != (weak(i) > 0.5))))
        assert abs(got + np.mean(lost)) < 4 * se + 1e-12, name
        assert got <= 0 or got < 3 * se, name
        assert name != "peek" or got < -3 * se


def test_the_same_check_finds_what_there_is_to_find_in_the_real_truth(
    problem: Problem, instances: list[Instance], answers: dict[str, list[np.ndarray]]
) -> None:
    gains = {name: gain(problem, instances, outputs) for name, outputs in answers.items()}
    assert sum(mean > 3 * se for mean, se in gains.values()) >= 3 and gains["peek"][0] > 0.1


def test_truth_depends_on_nothing_but_what_the_teacher_said_and_how_often_it_was_wrong(
    problem: Problem, instances: list[Instance], tmp_path: Path
) -> None:
    """Inputs permuted, and the teacher wrong elsewhere as often: the same labels are drawn."""
    instance, rng = instances[0], np.random.default_rng(0)
    task = tmp_path / "task"
    task.mkdir()
    order = rng.permutation(len(instance.truth["y"]))
    for path in instance.task.glob("*.npy"):
        part = np.load(path)
        np.save(task / path.name, part[order] if path.name.startswith("test.") and "weak" not in path.name else part)
    said = weak(instance) > 0.5
    wrong = (instance.truth["y"] == 1) != said
    elsewhere = {**instance.truth, "y": (said ^ wrong[order]).astype(instance.truth["y"].dtype)}
    changed = replace(instance, task=task, truth=elsewhere)
    assert (problem.placebo(changed, 3).truth["y"] == problem.placebo(instance, 3).truth["y"]).all()


def test_every_row_is_as_likely_to_be_wrong_so_that_the_exact_count_helps_nobody(
    problem: Problem, instances: list[Instance]
) -> None:
    """The number of wrong rows is known to whoever knows the floor. It says nothing of which rows: each is wrong
    equally often, and what is known of some says of the others no more than 1 in n rows would."""
    instance, n = instances[0], len(instances[0].truth["y"])
    said = weak(instance) > 0.5
    draws = 400
    wrong = np.array([(problem.placebo(instance, s).truth["y"] == 1) != said for s in range(draws)])
    e = float(wrong[0].mean())
    assert (wrong.sum(1) == wrong[0].sum()).all() and 0 < e < 0.5
    often = wrong.mean(0)
    assert np.abs(often - e).max() < 5.5 * np.sqrt(e * (1 - e) / draws)
    half = wrong[:, : n // 2].mean(1)  # the best use of half the rows' labels, for the other half
    assert np.abs(half - e).max() < 5 * np.sqrt(e * (1 - e) / n)


def test_confidence_says_nothing(problem: Problem, instances: list[Instance]) -> None:
    """The teacher's errors are drawn over its sure and unsure rows alike, and over rows in and out of distribution."""
    drawn = [problem.placebo(i, s) for s in range(20) for i in instances]
    floor = join([problem.score(i, weak(i)) for i in drawn])
    sure = np.concatenate([np.abs(weak(i) - 0.5) for i in drawn])
    high = sure > np.median(sure)
    for part in (high, floor.ood):
        a, b = floor.value[part], floor.value[~part]
        assert abs(a.mean() - b.mean()) < 4 * np.sqrt(a.var() / len(a) + b.var() / len(b))
    assert accuracy(floor).mean == pytest.approx(
        accuracy(join([problem.references(i).floor for i in instances])).mean, abs=1e-12
    )
    assert difference(floor, floor).mean == 0
