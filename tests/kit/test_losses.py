"""Losses and curricula of the zoo against values computed by hand, the released code's own rule, or a plain loop."""

import sys
from math import log

import numpy as np
import pytest
import torch
from planted import start

from aarlab.kit import blocks
from aarlab.kit.blocks.base import best
from aarlab.kit.blocks.coteach import peers_choice
from aarlab.kit.blocks.minibatch import coefficient, target
from aarlab.kit.descend import descend
from aarlab.kit.heads import fit, sigmoid


def column(*values):
    return np.array(values, np.float32)[:, None]


def test_the_two_ramps_part_at_a_tenth_of_the_steps():
    """The paper's coefficient is halfway in at 5% and in at 10%; the code's is at 5% of it, and jumps tenfold."""
    assert [coefficient(s, "paper") for s in (0, 0.05, 0.1, 0.7)] == [0, 0.5, 1, 1]
    assert [coefficient(s, "code") for s in (0, 0.05, 0.1, 0.1001)] == [0, 0.05, 0.1, 1]


def test_logconf_and_entropy_targets_by_hand():
    z, y = column(2, -1, 0.5, -3), column(0.9, 0.6, 0.2, 0.3)  # mean .5: the two highest logits are hardened to 1
    np.testing.assert_allclose(target(z, y, "logconf", 0.25, 1.0, False)[:, 0], [0.925, 0.45, 0.4, 0.225], atol=1e-6)
    y = column(0.9, 0.8, 0.7, 0.6)  # mean .75: three of four
    np.testing.assert_allclose(target(z, y, "logconf", 1.0, 1.0, False)[:, 0], [1, 1, 1, 0], atol=1e-6)
    np.testing.assert_allclose(target(z, y, "logconf", 1.0, 1.0, True)[:, 0], [1, 0, 1, 0], atol=1e-6)
    p = 1 / (1 + np.exp(-z))
    np.testing.assert_allclose(target(z, y, "entropy", 0.4, 1.0, False), 0.6 * y + 0.4 * p, atol=1e-6)


def test_logconf_target_is_the_released_codes():
    """openai/weak-to-strong: class 0 where p_0 is at or above its quantile at the mean of the labels of class 1."""
    rng = np.random.default_rng(0)
    z, y = rng.standard_normal((31, 1)).astype(np.float32), rng.random((31, 1)).astype(np.float32)
    p0 = 1 / (1 + np.exp(z[:, 0].astype(float)))
    zero = p0 >= np.quantile(p0, y.mean())
    np.testing.assert_allclose(target(z, y, "logconf", 0.5, 1.0, False)[:, 0], 0.5 * y[:, 0] + 0.5 * ~zero, atol=1e-6)


def test_product_target_by_hand():
    z, y = column(log(3)), column(0.6)  # p = 3/4: .75 * .6 to .25 * .4
    assert target(z, y, "product", 0.0, 1.0, True)[0, 0] == pytest.approx(0.45 / 0.55, abs=1e-5)
    half = 3**0.5
    assert target(z, y, "product", 0.0, 0.5, True)[0, 0] == pytest.approx(0.6 * half / (0.6 * half + 0.4), abs=1e-5)


def test_kl_to_the_labels_pulls_as_cross_entropy_does():
    """d KL(y || p) / dz = p - y, so it is no method of its own."""
    y, z, step = 0.3, 0.8, 1e-4

    def kl(z):
        p = 1 / (1 + np.exp(-z))
        return y * log(y / p) + (1 - y) * log((1 - y) / (1 - p))

    assert (kl(z + step) - kl(z - step)) / (2 * step) == pytest.approx(1 / (1 + np.exp(-z)) - y, abs=1e-6)


def test_window_by_hand(pair, monkeypatch):
    """Rows with max(p, 1 - p) at or above .65 pull at nothing, whatever their label."""
    seen = []
    monkeypatch.setattr(sys.modules["aarlab.kit.blocks.minibatch"], "descend", lambda x, w, slope, **_: seen.append(slope))
    y = np.array([1, 1, 0, 0.2], np.float32)
    blocks.minibatch(pair[0], y, y, y, loss="window")
    z = column(log(0.66 / 0.34), log(0.64 / 0.36), log(0.34 / 0.66), log(0.36 / 0.64))
    np.testing.assert_allclose(seen[0](z, np.arange(4), 0.5)[:, 0], [0, 0.64 - 1, 0, 0.36 - 0.2], atol=1e-6)


def test_window_learns_where_the_student_is_unsure(either):
    task, _ = either
    x, y, w = start(task)
    whole = blocks.minibatch(task, x, y, w, loss="window", radius=0.5)
    np.testing.assert_array_equal(whole.weights, blocks.minibatch(task, x, y, w, loss="cross_entropy").weights)
    assert not blocks.minibatch(task, x, y, w, loss="window", radius=0.0).weights.any()
    middle = float(np.median(np.abs(y - 0.5)))
    np.testing.assert_array_equal(
        blocks.minibatch(task, x, y, w, loss="window", radius=None).weights,
        blocks.minibatch(task, x, y, w, loss="window", radius=middle).weights,
    )


def test_unknown_loss_is_refused(pair):
    with pytest.raises(ValueError, match="known: cross_entropy, logconf"):
        blocks.minibatch(pair[0], *start(pair[0]), loss="hinge")
    with pytest.raises(ValueError, match="paper, code"):
        blocks.minibatch(pair[0], *start(pair[0]), ramp="none")


def test_descend_is_torchs_adam():
    rng = np.random.default_rng(3)
    x, y = rng.standard_normal((90, 5)).astype(np.float32), rng.random(90).astype(np.float32)
    w = rng.random(90).astype(np.float32)
    seen = []

    def slope(z, rows, s):
        seen.append((rows, s))
        return sigmoid(z) - y[rows, None]

    head = descend(x, w, slope, ridge=0.1, intercept=True, epochs=3, rate=0.02, seed=4)
    v, c = torch.zeros(5, 1, requires_grad=True), torch.zeros(1, requires_grad=True)
    adam = torch.optim.Adam([v, c], lr=0.02, betas=(0.9, 0.99))
    for rows, s in seen:
        adam.param_groups[0]["lr"] = 0.02 * (1 - s)
        z = torch.from_numpy(x[rows]) @ v + c
        goal, weight = torch.from_numpy(y[rows, None]), torch.from_numpy(w[rows, None] / w.mean())
        loss = torch.nn.functional.binary_cross_entropy_with_logits(z, goal, weight) + 0.05 * (v**2).sum()
        adam.zero_grad()
        loss.backward()
        adam.step()
    np.testing.assert_allclose(head.weights, v.detach().numpy(), atol=1e-4)
    np.testing.assert_allclose(head.bias, c.detach().numpy(), atol=1e-4)
    assert sorted(np.concatenate([r for r, _ in seen])[:90]) == list(range(90))


def test_minibatch_cross_entropy_ends_where_the_newton_fit_does(either):
    task, _ = either
    x, y, w = start(task)
    w = w * (np.arange(len(w)) % 3 > 0)  # a third is dropped, and the ridge must not notice
    slow = blocks.minibatch(task, x, y, w, loss="cross_entropy", epochs=60, ridge=0.1)
    exact = fit(x, y, w, ridge=0.1, intercept=not task.paired)
    assert np.abs(slow.predict(x) - exact.predict(x)).mean() < 0.02
    two = blocks.minibatch(task, x, y, np.stack([w, np.ones_like(w)], 1), loss="cross_entropy")
    assert two.weights.shape == (x.shape[1], 2)


def losses(alpha, beta, least):
    def symmetric(p, y):
        low, high = np.log(np.maximum(y, least)), np.log(np.maximum(1 - y, least))
        return -alpha * (y * np.log(p) + (1 - y) * np.log(1 - p)) - beta * (p * low + (1 - p) * high)

    return symmetric


def backwards(p, y):
    y = np.clip(y, 0.02, 0.98)
    return p * np.log(p / y) + (1 - p) * np.log((1 - p) / (1 - y))


@pytest.mark.parametrize(
    ("train", "row"),
    [
        (lambda *a: blocks.symmetric(*a, ridge=0.1, alpha=0.3, beta=1.0, rounds=60), losses(0.3, 1.0, np.exp(-4))),
        (lambda *a: blocks.reverse_kl(*a, ridge=0.1, rounds=60), backwards),
    ],
    ids=["symmetric", "reverse_kl"],
)
def test_robust_losses_are_at_a_minimum(either, train, row):
    task, _ = either
    x, y, w = start(task)
    w = w * np.linspace(0.5, 1.5, len(w), dtype=np.float32)
    head = train(task, x, y, w)

    def loss(weights):
        p = sigmoid(x @ weights + head.bias)[:, 0].astype(float)
        return (w * row(p, y.astype(float))).sum() / w.sum() + 0.05 * float((weights.astype(float) ** 2).sum())

    rng = np.random.default_rng(0)
    here = loss(head.weights)
    for _ in range(20):
        step = rng.standard_normal(head.weights.shape).astype(np.float32)
        assert loss(head.weights + 0.05 * step / np.linalg.norm(step)) > here


def test_symmetric_without_its_second_half_is_cross_entropy(either):
    task, _ = either
    x, y, w = start(task)
    same = blocks.symmetric(task, x, y, w, alpha=1.0, beta=0.0, ridge=0.1)
    np.testing.assert_allclose(same.predict(x), blocks.logistic(task, x, y, w, ridge=0.1).predict(x), atol=5e-3)
    with pytest.raises(ValueError, match="alpha and beta"):
        blocks.symmetric(task, x, y, w, alpha=0.0, beta=0.0)


def test_a_head_learns_from_the_rows_that_its_peer_finds_easy():
    z = np.array([[3, 0], [-2, 1], [0.5, -4], [-1, 2]], np.float32)
    y = np.array([1, 1, 0, 0], np.float32)  # losses: .05 2.1 .97 .31 and .69 .31 .02 2.1
    np.testing.assert_array_equal(peers_choice(z, y, 0.5), [[0, 1], [1, 0], [1, 0], [0, 1]])
    np.testing.assert_array_equal(peers_choice(z, y, 1.0), np.ones((4, 2)))


def test_coteaching_ends_on_the_right_labels(either):
    task, truth = either
    x, _, w = start(task)
    wrong = np.random.default_rng(1).random(len(x)) < 0.3
    y = np.where(wrong, 1 - truth["pool"], truth["pool"]).astype(np.float32)
    both = blocks.coteach(task, x, y, w, tau=0.3, epochs=6)
    assert both.weights.shape == (x.shape[1], 2) and not np.array_equal(*both.weights.T)
    chosen = peers_choice(both.logits(x), y, 0.7)[:, 0] > 0
    assert wrong[chosen].mean() < 0.6 * wrong.mean()
    with pytest.raises(ValueError, match="tau"):
        blocks.coteach(task, x, y, w, tau=1.0)


def test_mdl_takes_the_sure_half_first_and_slows_down(either, monkeypatch):
    task, _ = either
    x, y, w = start(task)
    calls = []

    def spy(x, weight, slope, **given):
        calls.append((weight[:, 0] > 0, given["rate"], given["epochs"]))
        return descend(x, weight, slope, **given)

    monkeypatch.setattr(sys.modules["aarlab.kit.blocks.mdl"], "descend", spy)
    head = blocks.mdl(task, x, y, w, rate=0.004)
    (early, fast, two), (late, slow, three) = calls
    group = None if task.paired else y > 0.5
    np.testing.assert_array_equal(early, best(np.abs(y - 0.5), w, 0.5, group))
    assert late.all() and (fast, slow, two, three) == (0.004, 0.002, 2, 3)
    assert np.isfinite(head.weights).all()
