"""The table of methods: ablations are the audits' own, predictions are kept and a damaged one is made anew, and every
column would move if what it measures did."""

from pathlib import Path

import numpy as np
import pytest

from aarlab.kit.methods import METHODS, Method
from aarlab.kit.stats import accuracy
from aarlab.kit.task import W2STask
from aarlab.problems import base
from aarlab.problems.w2s import study
from aarlab.problems.w2s.problem import W2S


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> W2S:
    monkeypatch.setenv("AARLAB_CACHE", str(tmp_path))
    problem = base.load("w2s/toy")
    assert isinstance(problem, W2S) and isinstance(problem, base.Studied)
    return problem


def catalogue(monkeypatch: pytest.MonkeyPatch, **more: Method) -> None:
    monkeypatch.setattr(study, "METHODS", {**METHODS, **more})


def played(run: object) -> Method:
    return Method("-", "-", play=run)  # type: ignore[arg-type]


def test_a_method_is_run_as_it_is_and_with_each_thing_taken_away(toy: W2S, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[W2STask] = []
    catalogue(monkeypatch, spy=played(lambda task: seen.append(task) or task.teacher.test))
    toy.predict("spy", 0)
    plain, permuted, untrained = seen
    np.testing.assert_array_equal(np.sort(plain.weak), np.sort(permuted.weak))
    assert not np.array_equal(plain.weak, permuted.weak)
    np.testing.assert_array_equal(plain.weak, untrained.weak)
    np.testing.assert_array_equal(plain.student.features("pool"), permuted.student.features("pool"))
    a, b = untrained.student.features("pool")[:, 0], plain.student.twin.features("pool")[:, 0]
    assert np.linalg.norm(a) == pytest.approx(np.linalg.norm(b), rel=1e-2) and not np.allclose(a, b)  # turned anew


def test_predictions_are_kept_and_damage_is_noticed(toy: W2S, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    runs: list[int] = []

    def run(task: W2STask) -> np.ndarray:
        runs.append(1)
        return np.full(len(task.test), 0.25)

    catalogue(monkeypatch, counted=played(run))
    first = toy.predict("counted", 0)
    np.testing.assert_array_equal(first, toy.predict("counted", 0))
    assert len(runs) == 3 and (first == 0.25).all()
    (kept,) = tmp_path.rglob("counted.npy")
    kept.write_bytes(kept.read_bytes()[:200])
    np.testing.assert_array_equal(first, toy.predict("counted", 0))
    assert len(runs) == 6


def test_what_cannot_be_run_says_why(toy: W2S, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue(monkeypatch, bad=played(lambda task: np.full(len(task.test), np.nan)), whole=METHODS["finetune"])
    with pytest.raises(ValueError, match="NaN or infinite"):
        toy.predict("bad", 0)
    with pytest.raises(ValueError, match="features only"):
        toy.predict("whole", 0)
    assert {"ccs", "zero_shot", "finetune", "critic"} <= set(toy.absent())
    assert not set(toy.methods(True)) & set(toy.absent()) and "chain" in toy.methods(False)


def test_every_figure_is_what_it_says(toy: W2S) -> None:
    instance = toy.practice(0)
    weak, y, ood = np.load(instance.task / "test.weak.npy"), instance.truth["y"], instance.truth["ood"]
    teacher = np.stack([weak, weak, weak]).astype(np.float32)
    told = toy.judged(0, teacher)
    assert told.figures["misfit"].value.max() == 0 and told.figures["agreement"].value.min() == 1
    assert accuracy(told.real).mean == pytest.approx(((weak > 0.5) == y).mean())
    against = toy.judged(0, 1 - teacher)
    assert against.figures["agreement"].value.max() == 0
    np.testing.assert_allclose(against.figures["misfit"].value, (1 - 2 * weak.astype(float)) ** 2, atol=1e-6)
    known = toy.judged(0, np.stack([y, 1 - y, np.full(len(y), 0.5)]).astype(np.float32))
    assert known.figures["brier"].value.max() == 0 and known.calibration == (0, 0)
    assert accuracy(known.ablated["permuted-teacher"]).mean == 0
    assert accuracy(known.ablated["untrained-student"]).mean == 0.5
    assert known.real.part(True).value.size == ood.sum()


def test_the_ablations_tell_three_methods_apart(toy: W2S, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that needs both, one that needs the teacher alone, and one that needs neither (it reads the rows)."""

    def reads(task: W2STask) -> np.ndarray:
        return np.array([float(row[0].split()[0]) > 0 for row in task.test.inputs], float)

    catalogue(monkeypatch, echo=played(lambda task: task.teacher.test), reads=played(reads))

    def right(name: str) -> list[float]:
        told = [toy.judged(s, toy.predict(name, s)) for s in range(4)]
        return np.mean([[o.value.mean() for o in (t.real, *t.ablated.values())] for t in told], 0).tolist()

    naive, permuted, untrained = right("naive_soft")
    assert naive > 0.75 and permuted < naive - 0.1 and untrained < naive - 0.15
    plain, permuted, untrained = right("echo")
    assert untrained == plain and permuted < plain - 0.1
    assert right("reads") == [1.0, 1.0, 1.0]




def test_a_sweep_holds_the_method_at_its_own_ridge(toy: W2S) -> None:
    found = toy.sweep(["naive_soft", "chain", "logconf", "finetune"], 0)
    assert set(found) == {"naive_soft", "chain", "logconf"} and all(len(v) == len(study.RIDGES) for v in found.values())
    for name, values in found.items():
        assert np.abs(values["ridge=0.01"] - toy.predict(name, 0)[0]).max() < 0.02
        assert np.abs(values["ridge=0.01"] - values["ridge=1"]).max() > 0.02
