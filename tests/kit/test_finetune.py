"""Full fine-tuning on a tiny random language model and a planted rule."""

import json

import numpy as np
import pytest
import torch

from aarlab.kit.finetune import finetune, load_student, predict
from aarlab.kit.lm import LMConfig, new_lm, save_lm
from aarlab.kit.task import W2STask

CONFIG = LMConfig(vocab=30, length=12, width=32, layers=2, heads=2)


def make(folder, paired, pool="mean", n=600, m=300, seed=0):
    """Rows of random tokens; the wanted side holds token 7 (twice over chance), the other token 8."""
    rng = np.random.default_rng(seed)
    sides, truth = 2 if paired else 1, {}
    for part, rows in (("pool", n), ("test", m)):
        y = rng.integers(0, 2, rows)
        tokens = rng.integers(9, 30, (rows, sides, 12))
        ends = rng.integers(6, 13, (rows, sides))
        for i in range(rows):
            for s in range(sides):
                tokens[i, s, rng.integers(1, ends[i, s])] = 7 if (y[i] == 1) == (s == 0) else 8
        tokens[np.arange(12) >= ends[..., None]] = 0
        np.save(folder / f"{part}.tokens.npy", tokens.astype(np.int32))
        np.save(folder / f"{part}.features.npy", np.zeros((rows, sides, 2, 32), np.float16))
        np.save(folder / f"{part}.weak.npy", np.where(rng.random(rows) < 0.2, 1 - y, y).astype(np.float32))
        np.save(folder / f"{part}.inputs.npy", np.full((rows, sides), "row"))
        truth[part] = y
    (folder / "task.json").write_text(json.dumps({"paired": paired, "layers": 2, "width": 32, "seed": seed}))
    shape = {"vocab": 30, "length": 12, "width": 32, "layers": 2, "heads": 2, "pool": pool, "paired": paired}
    (folder / "student.json").write_text(json.dumps(shape))
    save_lm(new_lm(CONFIG, 3), folder / "student.safetensors")
    return W2STask.load(folder), truth


@pytest.mark.parametrize(("paired", "pool"), [(True, "mean"), (False, "mean"), (True, "last")])
def test_learns_a_planted_rule_from_noisy_labels(tmp_path, paired, pool):
    task, truth = make(tmp_path, paired, pool)
    before = torch.random.get_rng_state()
    p = finetune(task, task.weak, epochs=6, lr=2e-3)
    assert torch.equal(before, torch.random.get_rng_state())
    assert p.shape == (300,) and p.dtype == np.float64 and ((p >= 0) & (p <= 1)).all()
    assert ((p > 0.5) == truth["test"]).mean() > 0.85

    def loss(q):
        return -np.log(np.where(truth["test"] == 1, q, 1 - q)).mean()

    assert loss(p) < loss(finetune(task, task.weak, epochs=0)) - 0.2
    np.testing.assert_array_equal(p, finetune(task, task.weak, epochs=6, lr=2e-3))


def test_weights_decide_which_labels_are_learnt(tmp_path):
    task, truth = make(tmp_path, True)
    y = truth["pool"].astype(np.float32)
    y[::2] = 1 - y[::2]
    half = np.where(np.arange(len(y)) % 2, 1, 0.02).astype(np.float32)
    assert ((finetune(task, y, half, epochs=6, lr=2e-3) > 0.5) == truth["test"]).mean() > 0.85
    assert ((finetune(task, y, 1.02 - half, epochs=6, lr=2e-3) > 0.5) == truth["test"]).mean() < 0.15


def test_exchanging_the_sides_gives_the_complement_and_padding_does_not_matter(tmp_path):
    task, _ = make(tmp_path, True)
    model = load_student(task.student)
    torch.nn.init.normal_(model.head.weight, generator=torch.Generator().manual_seed(0))
    tokens = task.student.tokens("test")
    p = predict(model, tokens)
    np.testing.assert_allclose(p + predict(model, tokens[:, ::-1].copy()), 1, atol=1e-6)
    np.testing.assert_allclose(p, [predict(model, t[None])[0] for t in tokens], atol=1e-5)
    assert p.std() > 0.01


def test_the_twin_has_other_weights(tmp_path):
    make(tmp_path, True)
    trained, twin = (load_student(W2STask.load(tmp_path, untrained=u).student) for u in (False, True))
    assert not torch.equal(trained.body.tokens.weight, twin.body.tokens.weight)
    assert trained.body.config == twin.body.config


def test_refuses(tmp_path):
    task, _ = make(tmp_path, True, n=40, m=10)
    with pytest.raises(ValueError, match="the pool has 40 rows"):
        finetune(task, np.ones(39))
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        finetune(task, np.full(40, 2.0))
    with pytest.raises(ValueError, match="some above 0"):
        finetune(task, np.ones(40), np.zeros(40))
    (tmp_path / "student.json").unlink()
    with pytest.raises(FileNotFoundError, match="features only"):
        finetune(task, np.ones(40))
