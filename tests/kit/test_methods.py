"""The catalogue: every method runs on a task, says where it comes from, and is what its name says."""

import numpy as np
import pytest
from planted import plant
from test_finetune import make

from aarlab.kit import zoo
from aarlab.kit.heads import fit, sigmoid
from aarlab.kit.methods import ABSENT, METHODS
from aarlab.kit.represent import represent

QUICK = [n for n, m in METHODS.items() if not m.full]


@pytest.mark.parametrize("name", QUICK)
def test_a_method_answers_the_same_twice(name, pair):
    task, _ = pair
    p = METHODS[name].run(task)
    assert p.shape == (800,) and ((p >= 0) & (p <= 1)).all()
    np.testing.assert_array_equal(p, METHODS[name].run(task))


def test_the_catalogue_holds_every_baseline_and_invents_nothing():
    configs = {m.config for m in METHODS.values() if m.config is not None}
    assert set(zoo.BASELINES.values()) <= configs and len(configs) == len(QUICK)
    assert all(m.formula and m.paper for m in METHODS.values())
    assert not set(ABSENT) & set(METHODS) and all(len(why) > 20 for why in ABSENT.values())
    used = {str(c.choices[s]) for c in configs if c for s in zoo.STAGES if s in c.choices}
    assert used >= (set(zoo.RELABELLERS) | set(zoo.FILTERS) | set(zoo.TRAINERS)) - {
        "curriculum", "weigh", "sharpen", "logistic"
    }  # fmt: skip


def test_born_again_is_its_plain_loop(pair):
    task, _ = pair
    x, x_test = represent(task)
    y = task.weak
    for _ in range(3):
        y = sigmoid(fit(x, y, tol=1e-5).logits(x)[:, 0])
    np.testing.assert_allclose(METHODS["born_again"].run(task), fit(x, y, tol=1e-5).predict(x_test), atol=0.01)


def test_zero_shot_elicitation_owes_the_teacher_nothing(pair, tmp_path):
    task, _ = pair
    other, _ = plant(tmp_path)
    np.save(other.student.folder / "pool.weak.npy", np.full(600, 0.5, np.float32))
    deaf = type(other).load(other.student.folder)
    np.testing.assert_array_equal(METHODS["ue_zero_shot"].run(task), METHODS["ue_zero_shot"].run(deaf))


@pytest.mark.parametrize("name", ["finetune_confident", "evolve_adapter"])
def test_methods_that_move_the_student(name, tmp_path):
    task, _ = make(tmp_path, True, n=64, m=60)
    p = METHODS[name].run(task)
    assert METHODS[name].full and p.shape == (60,) and np.isfinite(p).all()


def test_methods_that_move_the_student_need_one(pair):
    with pytest.raises(FileNotFoundError):
        METHODS["finetune"].run(pair[0])
