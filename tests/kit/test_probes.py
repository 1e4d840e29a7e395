"""Probes, chains and elicitation of the zoo against brute force, scipy, or values computed by hand."""

import numpy as np
import pytest
from planted import right, start

from aarlab.kit import blocks
from aarlab.kit.blocks.chain import widths
from aarlab.kit.blocks.elicit import first_guess
from aarlab.kit.blocks.epiplexity import learnt
from aarlab.kit.blocks.icm import anneal, coherence
from aarlab.kit.blocks.topo import held, largest, topo_filter, vote
from aarlab.kit.heads import fit, out_of_fold, sigmoid


def test_band_by_hand(pair):
    y = np.array([0.76, 0.25, 0.5, 0.24, 0.75, 1.0], np.float32)
    kept = blocks.band(pair[0], y, y, np.ones(6, np.float32))[1]
    np.testing.assert_array_equal(kept, [1, 0, 0, 1, 0, 1])
    with pytest.raises(ValueError, match="never surer than"):
        blocks.band(pair[0], y, y, np.ones(6, np.float32), reach=0.5)


@pytest.mark.parametrize("seed", range(8))
def test_largest_component_is_where_every_row_reaches_every_other(seed):
    rng = np.random.default_rng(seed)
    n, k = 60, 1 + seed % 3
    index, edge, inside = rng.integers(0, n, (n, k)), rng.random((n, k)) < 0.8, rng.random(n) < 0.9
    reach = np.eye(n, dtype=bool)  # Warshall's closure
    for row in np.flatnonzero(inside):
        reach[row, [e for e in index[row][edge[row]] if inside[e]]] = True
    for through in range(n):
        reach |= reach[:, [through]] & reach[[through]]
    mutual = reach & reach.T & inside
    got = largest(index, edge, inside)
    assert got.sum() == mutual[inside].sum(1).max() and (got <= inside).all()
    assert mutual[np.ix_(got, got)].all()
    assert not largest(index, edge, np.zeros(n, bool)).any()


def test_topo_drops_the_rows_inside_the_other_class(single):
    """Two clusters, two rows of each labelled as the other: these hold together with nobody and go."""
    rng = np.random.default_rng(0)
    y = np.repeat([0.1, 0.9], 40).astype(np.float32)
    x = rng.standard_normal((80, 6)).astype(np.float32) * 0.3 + np.where(y > 0.5, 2, -2)[:, None]
    y[[3, 9, 50, 61]] = 1 - y[[3, 9, 50, 61]]
    x = x.astype(np.float32)
    w = np.ones(80, np.float32)
    assert not held(x, y, w, 5, False, 6)[[3, 9, 50, 61]].any()
    stay = topo_filter(x, y, w, 5, 0.2, False, 6)
    assert not stay[[3, 9, 50, 61]].any() and stay.sum() == 64
    np.testing.assert_array_equal(blocks.probe_filter(single[0], x, y, w, kind="topo", k=5, drop=0.2)[1], stay)
    # the same rows as pairs: a row of class 0 is the mirror image of one of class 1
    assert not held(x, y, w, 5, True, 6)[[3, 9, 50, 61]].any()


def test_topo_votes_by_brute_force(either):
    task, _ = either
    x, y, _ = start(task)
    x, y = x[:90], y[:90]
    among = np.arange(90) % 4 > 0
    got = vote(x, y, among, 7, task.paired, 20)
    u = x[:, :20].astype(float)
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    for i in range(0, 90, 7):
        c = u @ u[i]
        order = [j for j in np.argsort(-(np.abs(c) if task.paired else c)) if among[j] and j != i][:7]
        votes = [y[j] if c[j] > 0 or not task.paired else 1 - y[j] for j in order]
        assert got[i] == pytest.approx(np.mean(votes), abs=1e-4)


@pytest.mark.parametrize("kind", ["knn", "logistic", "topo"])
def test_probes_relabel_and_filter(either, kind):
    task, truth = either
    x, y, w = start(task)
    labels, _ = blocks.probe_labels(task, x, y, w, kind=kind, share=1.0)
    half, _ = blocks.probe_labels(task, x, y, w, kind=kind, share=0.5)
    np.testing.assert_allclose(half, (labels + y) / 2, atol=1e-5)
    _, kept = blocks.probe_filter(task, x, y, w, kind=kind, drop=0.25)
    assert kept.mean() == pytest.approx(0.75, abs=0.01)
    hit = (y > 0.5) == truth["pool"]
    assert hit[kept > 0].mean() > hit.mean() + 0.02
    if kind != "topo":
        gap = np.abs(labels - y)
        assert gap[kept == 0].min() >= gap[kept > 0].max() - 1e-5
    if kind == "logistic":
        exact = fit(x, y, w, ridge=2e-3, intercept=not task.paired, tol=1e-5).predict(x)
        assert np.abs(labels - exact).mean() < 0.01
    with pytest.raises(ValueError, match="known: knn, logistic, topo"):
        blocks.probe_labels(task, x, y, w, kind="tree")


def test_chain_grows_in_equal_ratios(either):
    assert widths(8, 3, 512) == [8, 32, 128] and widths(8, 1, 100) == [8] and widths(64, 2, 20) == [20, 20]
    task, truth = either
    x, y, w = start(task)
    got, _ = blocks.chain(task, x, y, w, first=2, links=2, ridge=0.1)
    label = y
    for k in widths(2, 2, x.shape[1]):
        label = fit(x[:, :k], label, w, ridge=0.1, intercept=not task.paired, tol=1e-5).predict(x[:, :k])
    np.testing.assert_allclose(got, label, atol=0.01)
    with pytest.raises(ValueError, match="at least one link"):
        blocks.chain(task, x, y, w, links=0)


def test_icm_grows_its_regression_exactly():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((40, 4))
    label, fitted, lever = anneal(x, np.random.default_rng(0), 8, 60, 50.0, 10.0, 0.01, 0.99, 0.02)
    on = label != 0
    assert 8 <= on.sum() <= 40
    inverse = np.linalg.inv(x[on].T @ x[on] + 0.02 * 40 * np.eye(4))
    np.testing.assert_allclose(fitted, x @ inverse @ x[on].T @ label[on], atol=1e-8)
    np.testing.assert_allclose(lever, np.einsum("nd,de,ne->n", x, inverse, x), atol=1e-8)
    by_hand = []
    for i in np.flatnonzero(on):
        o = on & (np.arange(40) != i)
        v = np.linalg.solve(x[o].T @ x[o] + 0.02 * 40 * np.eye(4), x[o].T @ label[o])
        by_hand.append(-np.log1p(np.exp(-4 * label[i] * (x[i] @ v))))
    assert coherence(label, fitted, lever) == pytest.approx(np.mean(by_hand), abs=1e-8)


def test_icm_labels_predict_one_another(either):
    task, _ = either
    x, y, w = start(task)
    labels, weight = blocks.icm(task, x, y, w)
    assert set(np.unique(labels[weight > 0])) <= {0.0, 1.0} and weight.mean() > 0.9
    z = out_of_fold(x, labels, weight, ridge=1e-2, intercept=not task.paired, folds=5, seed=1)
    assert ((z > 0) == (labels > 0.5)).mean() > 0.85  # random labels: .5
    against, _ = blocks.icm(task, x, 1 - y, w)
    np.testing.assert_allclose(against[weight > 0], 1 - labels[weight > 0])  # the teacher gives the sign, no more


def test_consistent_keeps_what_the_other_folds_confirm(either):
    task, truth = either
    x, y, w = start(task)
    guess = first_guess(task, x, y, "zero_shot") > 0
    labels, weight = blocks.consistent(task, x, y, w, rounds=1)
    z = out_of_fold(x, guess.astype(np.float32), w, ridge=1e-2, intercept=not task.paired, folds=5, seed=task.seed)
    z = z if task.paired else z - np.median(z)
    flip = ((z > 0) != (labels > 0.5)).mean()
    assert flip in (0, 1)  # up to the sign, which is the teacher's
    np.testing.assert_array_equal(weight, (z > 0) == guess)
    if task.paired:  # without log-probabilities the first guess is a clustering, which may be of anything
        assert right(blocks.consistent(task, x, y, w)[0], truth) > 0.7
    flipped, _ = blocks.consistent(task, x, 1 - y, w, rounds=1)
    np.testing.assert_array_equal(flipped, 1 - labels)


def test_epiplexity_smooths_where_little_was_learnt(either):
    task, truth = either
    x, y, w = start(task)
    z = out_of_fold(x, y, w, ridge=1e-2, intercept=not task.paired, folds=5, seed=task.seed)
    plain, _ = blocks.epiplexity(task, x, y, w, strength=0.0)
    np.testing.assert_allclose(plain, sigmoid(z), atol=1e-6)
    labels, _ = blocks.epiplexity(task, x, y, w, strength=1.0)
    fall = learnt(x, y, w, ridge=1e-2, intercept=not task.paired, epochs=4, rate=3e-3, seed=task.seed)
    assert labels[np.argmin(fall)] == 0.5 and labels[np.argmax(fall)] == pytest.approx(plain[np.argmax(fall)])
    hit = (y > 0.5) == truth["pool"]
    assert fall[hit].mean() > fall[~hit].mean()  # a wrong label is hard to learn
    with pytest.raises(ValueError, match="strength"):
        blocks.epiplexity(task, x, y, w, strength=2.0)
