"""Every block against a value computed by hand or a slow plain implementation, its invariances and its
errors."""

from dataclasses import replace
from math import exp, log

import numpy as np
import pytest
from planted import right, start

from aarlab.kit import blocks
from aarlab.kit.blocks.base import best, classes, zscore
from aarlab.kit.blocks.ccs import loss as ccs_loss
from aarlab.kit.blocks.ccs import search
from aarlab.kit.blocks.elicit import first_guess, loo, smoother
from aarlab.kit.blocks.em import evidence
from aarlab.kit.blocks.evolve import score
from aarlab.kit.blocks.knn import neighbours
from aarlab.kit.blocks.logconf import mixture
from aarlab.kit.blocks.zero_shot import zero_shot_scores
from aarlab.kit.heads import fit, out_of_fold, sigmoid
from aarlab.kit.represent import represent, sides

Y = np.array([0.9, 0.2, 0.5, 0.6, 0.35, 0.97], np.float32)
ONE = np.ones(6, np.float32)


def test_best_keeps_a_share_of_what_is_left():
    chosen = best(np.array([5, 4, 3, 2, 1, 0.0]), np.array([0, 1, 1, 1, 1, 0]), 0.5)
    np.testing.assert_array_equal(chosen, [False, True, True, False, False, False])
    with pytest.raises(ValueError, match="keep"):
        best(ONE, ONE, 0)


def test_hard_sharpen_confident_weigh_by_hand(pair, single):
    task = pair[0]
    np.testing.assert_array_equal(blocks.hard(task, Y, Y, ONE)[0], [1, 0, 0.5, 1, 0, 1])
    sharp = blocks.sharpen(task, Y, Y, ONE, power=2.0)[0]
    np.testing.assert_allclose(sharp, [v * v / (v * v + (1 - v) ** 2) for v in Y.tolist()], rtol=1e-5)
    kept = blocks.confident(task, Y, Y, ONE, keep=0.5, balanced=False)[1]
    np.testing.assert_array_equal(kept, [1, 1, 0, 0, 0, 1])
    kept = blocks.confident(single[0], Y, Y, ONE, keep=0.34, balanced=True)[1]
    np.testing.assert_array_equal(kept, [1, 1, 0, 0, 1, 1])  # ceil(.34 * 3) = 2 of each class
    dropped = blocks.weigh(task, Y, Y, np.array([0, 1, 1, 1, 1, 1], np.float32))[1]
    assert dropped[0] == 0 and (dropped[1:] > 0).all()  # what was dropped stays dropped
    weight = blocks.weigh(task, Y, Y, ONE, power=2.0)[1]
    np.testing.assert_allclose(weight / weight[0], [1, 0.5625, 0, 0.0625, 0.140625, 1.380625], atol=1e-4)


def test_self_training_is_its_plain_loop(either):
    task, truth = either
    x, y, w = start(task)
    got, weight = blocks.self_training(task, x, y, w, rounds=2, ridge=0.1, keep=0.4)
    label, mask = y, w
    for _ in range(2):
        z = fit(x, label, mask, ridge=0.1, intercept=not task.paired, tol=1e-5).logits(x)[:, 0]
        label, mask = (z > 0).astype(np.float32), np.zeros_like(w)
        for side in [z < np.inf] if task.paired else [z > 0, z <= 0]:
            mask[np.flatnonzero(side)[np.argsort(-np.abs(z[side]))[: int(np.ceil(0.4 * side.sum()))]]] = 1
    assert (got == label).mean() > 0.99 and (weight == mask).mean() > 0.97
    assert right(got, truth) > right(y, truth) + 0.03


def test_oof_mixes_hardens_and_drops(either):
    task, truth = either
    x, y, w = start(task)
    z = out_of_fold(x, y, w, ridge=0.1, intercept=not task.paired, folds=5, seed=task.seed)
    got, weight = blocks.oof(task, x, y, w, ridge=0.1, share=0.25, drop=0.2)
    np.testing.assert_allclose(got, 0.75 * y + 0.25 * sigmoid(z), atol=1e-5)
    gone = weight == 0
    assert gone.mean() == pytest.approx(0.2, abs=0.01)
    assert np.abs(sigmoid(z) - y)[gone].min() >= np.abs(sigmoid(z) - y)[~gone].max()
    hard = blocks.oof(task, x, y, w, ridge=0.1, hard=True)[0]
    np.testing.assert_array_equal(hard, z > 0)
    assert right(hard, truth) > right(y, truth) + 0.03
    with pytest.raises(ValueError, match="folds"):
        blocks.oof(task, x, y, w, folds=1)


def test_neighbours_are_brute_force_neighbours(either):
    task, _ = either
    x = represent(task)[0][:80]
    index, cosine = neighbours(x, 4, task.paired, dims=30)
    u = x[:, :30].astype(float)
    for i in range(80):
        c = np.array([u[i] @ v / np.linalg.norm(u[i]) / np.linalg.norm(v) for v in u])
        c[i] = 0 if task.paired else -9
        order = np.argsort(-(np.abs(c) if task.paired else c))[:4]
        assert set(order) == set(index[i]) and i not in index[i]
        np.testing.assert_allclose(cosine[i], c[index[i]], atol=1e-4)
    with pytest.raises(ValueError, match="k must be"):
        neighbours(x, 80, True)


def test_knn_is_its_plain_mean(either):
    task, truth = either
    x, y, w = start(task)
    got, _ = blocks.knn(task, x, y, w, k=15, share=0.8)
    index, cosine = neighbours(x, 15, task.paired)
    for i in range(0, 600, 37):
        votes = [y[j] if c > 0 else 1 - y[j] for j, c in zip(index[i], cosine[i], strict=True)]
        assert got[i] == pytest.approx(0.2 * y[i] + 0.8 * np.mean(votes), abs=1e-4)
    assert right(got, truth) > right(y, truth)


def test_graph_solves_the_linear_system(either):
    task, _ = either
    x, y, w = start(task)
    x, y, w = x[:150], y[:150], w[:150]
    index, cosine = neighbours(x, 6, task.paired)
    adjacency = np.zeros((150, 150))
    for i in range(150):
        for j, c in zip(index[i], cosine[i], strict=True):
            adjacency[i, j] += np.sign(c)
            adjacency[j, i] += np.sign(c)
    degree = np.abs(adjacency).sum(1)
    s = adjacency / np.sqrt(degree[:, None] * degree)
    f = 0.4 * np.linalg.solve(np.eye(150) - 0.6 * s, y - 0.5)
    f = f * np.std(y - 0.5) / np.std(f)
    got, _ = blocks.graph(task, x, y, w, k=6, a=0.6, steps=60)
    np.testing.assert_allclose(got, np.clip(0.5 + f, 0, 1), atol=2e-3)
    with pytest.raises(ValueError, match=r"a must be in"):
        blocks.graph(task, x, y, w, a=1.0)


def test_ccs_loss_and_gradient(pair):
    rng = np.random.default_rng(0)
    plus, minus = (rng.standard_normal((50, 3)).astype(np.float32) for _ in range(2))
    v = rng.standard_normal((4, 2)).astype(np.float32)
    value, gradient = ccs_loss(v, plus, minus)
    p = [1 / (1 + exp(-(a @ v[:3, 0] + v[3, 0]))) for a in plus.astype(float)]
    q = [1 / (1 + exp(-(a @ v[:3, 0] + v[3, 0]))) for a in minus.astype(float)]
    by_hand = np.mean([(a + b - 1) ** 2 + min(a, b) ** 2 for a, b in zip(p, q, strict=True)])
    assert value[0] == pytest.approx(by_hand, rel=1e-5)
    for i in range(4):
        step = np.zeros_like(v)
        step[i, 1] = 1e-2
        up, down = (ccs_loss(v + s * step, plus, minus)[0][1] for s in (1, -1))
        assert gradient[i, 1] == pytest.approx((up - down) / 2e-2, abs=2e-3)


def test_ccs_finds_the_direction_without_labels(pair, single):
    task, truth = pair
    x, y, w = start(task)
    labels, _ = blocks.ccs(task, x, y, w, layers="all", pca=8)
    assert right(labels, truth) > 0.75
    against, _ = blocks.ccs(task, x, 1 - y, w, layers="all", pca=8)
    np.testing.assert_allclose(against, 1 - labels, atol=1e-6)  # the teacher gives nothing but the sign
    pairs = sides(task.student, "all", 8)
    p, q = search(pairs, 6, 100, 0), search(pairs[:, ::-1], 6, 100, 0)
    np.testing.assert_allclose(p, 1 - q, atol=1e-3)  # exchanging the sides
    with pytest.raises(ValueError, match="not applicable to single rows"):
        blocks.ccs(single[0], *start(single[0]))


def test_leave_one_out_is_exact():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((40, 5)).astype(np.float32)
    label = np.sign(rng.standard_normal(40)).astype(np.float32)
    half, leverage = smoother(x, 0.2)
    got = loo(x, half, leverage, label)
    for i in range(40):
        o = np.arange(40) != i
        v = np.linalg.solve(x[o].T @ x[o] + 0.2 * 40 * np.eye(5), x[o].T @ label[o])
        assert got[i] == pytest.approx(x[i] @ v, abs=1e-4)


@pytest.mark.parametrize("first", ["zero_shot", "cluster", "teacher"])
def test_elicit_raises_mutual_predictability(either, first):
    task, truth = either
    x, y, w = start(task)
    labels, weight = blocks.elicit(task, x, y, w, start=first, keep=0.5)
    ones = x if task.paired else np.hstack([x, np.ones((len(x), 1), np.float32)])
    half, leverage = smoother(ones, 0.1)

    def coherence(label):
        return float((label * loo(ones, half, leverage, label)).mean())

    guess = first_guess(task, x, y, first)
    assert coherence(2 * labels - 1) > coherence(guess)
    assert weight.mean() == pytest.approx(0.5, abs=0.01)
    flipped, _ = blocks.elicit(task, x, 1 - y, w, start=first, keep=0.5)
    assert ((flipped > 0.5) != (labels > 0.5)).mean() > 0.9  # the teacher gives the sign
    if first != "cluster":
        assert right(labels, truth) > 0.7
    with pytest.raises(ValueError, match="known: zero_shot"):
        blocks.elicit(task, x, y, w, start="oracle")


def test_em_evidence_by_hand():
    q = np.array([0.9, 0.8, 0.3, 0.1], np.float32)
    seen = np.array([True, False, True, False])
    part = np.zeros(4, int)
    got = evidence(q, seen, part, np.ones(4, np.float32), 1, False)
    one, zero = {True: 1.2 + 1, False: 0.9 + 1}, {True: 0.8 + 1, False: 1.1 + 1}
    up = log(one[True] / 4.1) - log(zero[True] / 3.9)
    down = log(one[False] / 4.1) - log(zero[False] / 3.9)
    np.testing.assert_allclose(got, [up, down, up, down], atol=1e-5)
    paired = evidence(q, seen, part, np.ones(4, np.float32), 1, True)
    hit, miss = one[True] + zero[False], one[False] + zero[True]
    np.testing.assert_allclose(paired, log(hit / miss) * np.array([1, -1, 1, -1]), atol=1e-5)


def test_em_corrects_a_one_sided_teacher(single):
    task, truth = single
    x, _, w = start(task)
    rng = np.random.default_rng(0)
    flip = (truth["pool"] == 1) & (rng.random(600) < 0.45)
    y = np.where(flip, 0.2, np.where(truth["pool"] == 1, 0.8, 0.2)).astype(np.float32)
    labels, _ = blocks.em(task, x, y, w, rounds=5, slices=1)
    assert right(labels, truth) > right(y, truth) + 0.08


def test_overlap_keeps_the_better_labels(either):
    task, truth = either
    x, y, w = start(task)
    _, weight = blocks.overlap(task, x, y, w, keep=0.4)
    hit = (y > 0.5) == truth["pool"]
    assert hit[weight > 0].mean() > hit.mean() + 0.03
    for side in [y > -1] if task.paired else [y > 0.5, y <= 0.5]:
        assert (weight[side] > 0).mean() == pytest.approx(0.4, abs=0.01)
    _, only = blocks.overlap(task, x, y, w, keep=0.4, predictable=0, smooth=0, dense=0, moderate=1.0)
    p = np.clip(y, 1e-3, 1 - 1e-3)
    entropy = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    np.testing.assert_array_equal(only, best(-np.abs(entropy - np.median(entropy)), w, 0.4, classes(task, y)))
    assert zscore(y).std() == pytest.approx(1, abs=1e-3)


def test_curriculum_enters_the_sure_rows_first(either):
    task, _ = either
    x, y, w = start(task)
    labels, weight = blocks.curriculum(task, x, y, w, first=0.3, stages=1, share=1.0, last=0.7)
    sure = best(np.abs(y - 0.5), w, 0.3, classes(task, y))
    np.testing.assert_array_equal(labels[sure], y[sure])
    assert weight.mean() == pytest.approx(0.7, abs=0.01)
    p = fit(x[sure], y[sure], ridge=1e-2, intercept=not task.paired, tol=1e-5).predict(x)
    entered = (weight > 0) & ~sure
    np.testing.assert_allclose(labels[entered], p[entered], atol=0.02)
    np.testing.assert_array_equal(labels[weight == 0], y[weight == 0])


def test_a_curriculum_ends_with_the_whole_pool_where_its_shares_do_not_sum_up_exactly(pair):
    task, _ = pair
    assert 0.2 + (1.0 - 0.2) * 3 / 3 > 1
    assert (blocks.curriculum(task, *start(task), first=0.2)[1] > 0).all()


def test_bootstrap_weights(pair):
    task, _ = pair
    base = np.array([0, 1, 2] * 2000, np.float32)
    weight = blocks.bootstrap(task, base, members=8)
    np.testing.assert_array_equal(weight, blocks.bootstrap(task, base, members=8))
    assert weight.shape == (6000, 8) and (weight[::3] == 0).all()
    assert weight[1::3].mean() == pytest.approx(1, abs=0.03)
    assert weight[2::3].mean() == pytest.approx(2, abs=0.06)
    assert abs(np.corrcoef(weight[1::3].T)[0, 1]) < 0.1
    assert not np.array_equal(weight, blocks.bootstrap(replace(task, seed=9), base, members=8))


def test_logconf_fixed_point(either):
    task, _ = either
    x, y, w = start(task)
    many = blocks.logconf(task, x, y, w, ridge=0.05, alpha=0.4, stages=60, ramp=0.1)
    z = many.logits(x)[:, 0]
    t = 0.0 if task.paired else np.quantile(z, 1 - y.mean())
    again = fit(x, 0.6 * y + 0.4 * (z > t), ridge=0.05, intercept=not task.paired, tol=1e-5)
    assert np.abs(again.logits(x)[:, 0] - z).max() < 0.05
    none = blocks.logconf(task, x, y, w, ridge=0.05, alpha=0.0)
    plain = blocks.logistic(task, x, y, w, ridge=0.05)
    np.testing.assert_allclose(none.predict(x), plain.predict(x), atol=2e-3)
    with pytest.raises(ValueError, match="known: hard, entropy, product"):
        blocks.logconf(task, x, y, w, kind="soft")
    with pytest.raises(ValueError, match="alpha"):
        blocks.logconf(task, x, y, w, alpha=1.5)


def test_logconf_mixtures_by_hand():
    y, z = np.array([[0.8]], np.float32), np.array([[-1.0]], np.float32)
    p = 1 / (1 + exp(1))
    assert mixture(z, y, 0.3, "entropy")[0, 0] == pytest.approx(0.7 * 0.8 + 0.3 * p, abs=1e-5)
    one, zero = p**0.3 * 0.8**0.7, (1 - p) ** 0.3 * 0.2**0.7
    assert mixture(z, y, 0.3, "product")[0, 0] == pytest.approx(one / (one + zero), abs=1e-4)


@pytest.mark.parametrize("q", [0.1, 0.7])
def test_gce_is_at_a_minimum_of_its_loss(either, q):
    task, _ = either
    x, y, w = start(task)
    w = w * np.linspace(0.5, 1.5, len(w), dtype=np.float32)
    head = blocks.gce(task, x, y, w, ridge=0.1, q=q, rounds=60)

    def loss(weights):
        p = sigmoid(x @ weights + head.bias)[:, 0].astype(float)
        row = y * (1 - p**q) / q + (1 - y) * (1 - (1 - p) ** q) / q
        return (w * row).sum() / w.sum() + 0.05 * float((weights.astype(float) ** 2).sum())

    rng = np.random.default_rng(0)
    here = loss(head.weights)
    for _ in range(20):
        step = rng.standard_normal(head.weights.shape).astype(np.float32)
        assert loss(head.weights + 0.05 * step / np.linalg.norm(step)) > here
    with pytest.raises(ValueError, match="q must be"):
        blocks.gce(task, x, y, w, q=0.0)


def test_evolve_raises_its_fitness(either):
    task, _ = either
    x, y, w = start(task)
    before = blocks.logistic(task, x, y, w, ridge=0.1)
    after = blocks.evolve(task, x, y, w, ridge=0.1)
    pull, share = 2 * y - 1, w / w.sum()
    assert score(after.logits(x), pull, share)[0] > score(before.logits(x), pull, share)[0] + 0.005
    by_hand = score(np.array([[3.0], [-3.0]]), np.array([1, 1.0]), np.array([0.5, 0.5]))
    assert by_hand[0] == pytest.approx(np.tanh(1))


def test_zero_shot_by_hand(pair, single):
    task, _ = pair
    lp = task.student.logprobs("test")
    s = np.nansum(lp, -1)
    base = np.nansum(task.student.logprobs("pool"), -1)
    rms = np.sqrt(np.mean((base[:, 0] - base[:, 1]) ** 2))
    expected = 1 / (1 + np.exp(-(s[:, 0] - s[:, 1]) / rms))
    np.testing.assert_allclose(blocks.zero_shot(task), expected, atol=1e-5)
    x, y, w = start(task)
    labels, _ = blocks.zero_shot_prior(task, x, y, w, strength=2.0, trust=0.5, summary="mean")
    z = 0.5 * np.log(y / (1 - y)) + 2.0 * zero_shot_scores(task, "mean")[0]
    np.testing.assert_allclose(labels, 1 / (1 + np.exp(-z)), atol=1e-4)
    with pytest.raises(ValueError, match="no summary 'best'"):
        blocks.zero_shot(task, summary="best")
    with pytest.raises(ValueError, match="no log-probabilities"):
        blocks.zero_shot(single[0])


RELABEL = [
    blocks.ccs, blocks.curriculum, blocks.elicit, blocks.em, blocks.graph, blocks.knn, blocks.oof,
    blocks.self_training, blocks.zero_shot_prior, blocks.confident, blocks.overlap, blocks.weigh,
    blocks.band, blocks.chain, blocks.consistent, blocks.epiplexity, blocks.icm, blocks.probe_filter, blocks.probe_labels,
]  # fmt: skip


@pytest.mark.parametrize("block", RELABEL, ids=lambda b: b.__name__)
def test_relabellers_keep_range_shape_and_their_input(block, pair):
    task, _ = pair
    x, y, w = start(task)
    y0 = y.copy()
    labels, weight = block(task, x, y, w)
    assert labels.shape == weight.shape == y.shape and labels.dtype == np.float32
    assert np.isfinite(labels).all() and (labels >= 0).all() and (labels <= 1).all()
    assert (weight >= 0).all() and weight.sum() > 0
    np.testing.assert_array_equal(y, y0)
    np.testing.assert_array_equal(block(task, x, y, w)[0], labels)


SYMMETRIC = [
    blocks.confident, blocks.curriculum, blocks.em, blocks.graph, blocks.knn, blocks.oof,
    blocks.self_training, blocks.band, blocks.chain, blocks.epiplexity, blocks.probe_filter, blocks.probe_labels,
]  # fmt: skip


@pytest.mark.parametrize("block", SYMMETRIC, ids=lambda b: b.__name__)
def test_mirroring_rows_mirrors_their_labels(block, pair):
    """Exchanging the sides of half the pool, labels with them, is the same pool written differently."""
    task, _ = pair
    x, y, w = start(task)
    sign = np.where(np.arange(len(y)) % 2, -1, 1).astype(np.float32)
    labels, weight = block(task, x, y, w)
    mirrored, weight2 = block(task, x * sign[:, None], np.where(sign > 0, y, 1 - y).astype(np.float32), w)
    back = np.where(sign > 0, mirrored, 1 - mirrored)
    np.testing.assert_array_equal(weight, weight2)
    np.testing.assert_allclose(labels, back, atol=5e-3)


def test_neighbours_are_remembered_only_for_what_cannot_change(pair):
    x = represent(pair[0])[0]
    first, _ = neighbours(x, 5, True)
    again, _ = neighbours(x, 3, True)
    np.testing.assert_array_equal(again, first[:, :3])
    own = x.copy()
    before, _ = neighbours(own, 5, True)
    own[:] = own[::-1].copy()
    after, _ = neighbours(own, 5, True)
    np.testing.assert_array_equal(before, first)
    assert not np.array_equal(after, before)
