"""Heads against scikit-learn's logistic regression, and their invariances."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from aarlab.kit.heads import Head, balance, fit, logit, out_of_fold, sigmoid


def data(n=400, d=12, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d)).astype(np.float32)
    p = 1 / (1 + np.exp(-(x @ rng.standard_normal(d) + 0.5)))
    y = (rng.random(n) < p).astype(np.float32)
    return (
        x,
        y,
        np.clip(p + 0.1 * rng.standard_normal(n), 0.02, 0.98).astype(np.float32),
        rng.random(n).astype(np.float32),
    )


def reference(x, y, w, ridge, intercept):
    """scikit-learn on soft labels: every row twice, once per class, with the label's share of its
    weight."""
    model = LogisticRegression(C=1 / (ridge * w.sum()), fit_intercept=intercept, tol=1e-10, max_iter=5000)
    model.fit(np.vstack([x, x]), np.r_[np.ones(len(x)), np.zeros(len(x))], np.r_[w * y, w * (1 - y)])
    return model


@pytest.mark.parametrize("ridge", [1e-4, 1e-2, 1.0])
@pytest.mark.parametrize("intercept", [True, False])
def test_matches_scikit_learn_on_soft_weighted_labels(ridge, intercept):
    x, _, soft, w = data()
    head = fit(x, soft, w, ridge=ridge, intercept=intercept, tol=1e-5)
    model = reference(x.astype(float), soft.astype(float), w.astype(float), ridge, intercept)
    assert np.abs(head.predict(x) - model.predict_proba(x)[:, 1]).max() < 2e-3
    assert (head.bias[0] != 0) == intercept


def test_default_tolerance_is_close_to_the_optimum_on_badly_scaled_columns():
    x, y, _, w = data(800, 40)
    x = x * np.logspace(1, -2, 40, dtype=np.float32)
    head = fit(x, y, w, ridge=1e-3, intercept=True)
    model = reference(x.astype(float), y.astype(float), w.astype(float), 1e-3, True)
    assert np.abs(head.predict(x) - model.predict_proba(x)[:, 1]).max() < 0.02


def test_columns_are_separate_fits():
    x, y, soft, w = data()
    weights, labels = np.stack([w, 1 - w, w**2], 1), np.stack([y, soft, 1 - y], 1)
    together = fit(x, labels, weights, ridge=0.01, intercept=True, tol=1e-5)
    for b in range(3):
        alone = fit(x, labels[:, b], weights[:, b], ridge=0.01, intercept=True, tol=1e-5)
        np.testing.assert_allclose(together.logits(x)[:, b], alone.logits(x)[:, 0], atol=5e-3)


def test_zero_weight_rows_do_not_count_and_weights_have_no_scale():
    x, y, _, w = data()
    w[100:] = 0
    a = fit(x, y, w, ridge=0.01, tol=1e-5).predict(x)
    np.testing.assert_allclose(a, fit(x[:100], y[:100], w[:100], ridge=0.01, tol=1e-5).predict(x), atol=1e-3)
    np.testing.assert_allclose(a, fit(x, y, 7 * w, ridge=0.01, tol=1e-5).predict(x), atol=1e-3)


def test_warm_start_gives_the_same_head():
    x, y, soft, _ = data()
    cold = fit(x, soft, ridge=0.01, intercept=True, tol=1e-5)
    warm = fit(x, soft, ridge=0.01, intercept=True, tol=1e-5, start=fit(x, y, ridge=1.0, intercept=True))
    np.testing.assert_allclose(cold.weights, warm.weights, atol=2e-3)


def test_a_rotation_of_the_features_changes_nothing():
    x, _, soft, w = data()
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((12, 12)))[0].astype(np.float32)
    a, b = fit(x, soft, w, ridge=0.05, tol=1e-5), fit(x @ turn, soft, w, ridge=0.05, tol=1e-5)
    np.testing.assert_allclose(a.predict(x), b.predict(x @ turn), atol=1e-3)


def test_without_intercept_the_head_is_antisymmetric():
    x, y, _, _ = data()
    head = fit(x, y)
    np.testing.assert_allclose(head.predict(x) + head.predict(-x), 1, atol=1e-6)


def test_separable_rows_stay_finite():
    x = np.linspace(-5, 5, 200, dtype=np.float32)[:, None] * 100
    head = fit(x, x[:, 0] > 0, ridge=1e-4)
    assert np.isfinite(head.weights).all() and ((head.predict(x) > 0.5) == (x[:, 0] > 0)).all()


def test_out_of_fold_equals_plain_folds():
    x, y, _, w = data(90)
    z = out_of_fold(x, y, w, ridge=0.05, intercept=True, folds=3, seed=4)
    fold = np.random.default_rng(4).permutation(90) % 3
    for f in range(3):
        head = fit(x[fold != f], y[fold != f], w[fold != f], ridge=0.05, intercept=True, tol=1e-5)
        np.testing.assert_allclose(z[fold == f], head.logits(x[fold == f])[:, 0], atol=0.02)


def test_balance_puts_the_share_above():
    x, _, _, _ = data()
    head = Head(np.ones((12, 1), np.float32), np.array([3.0], np.float32))
    assert (balance(head, x, 0.25).predict(x) > 0.5).mean() == pytest.approx(0.25, abs=0.01)


def test_sigmoid_and_logit():
    z = np.array([-500, -2, 0, 2, 500], np.float32)
    np.testing.assert_allclose(sigmoid(z), [0, 0.119203, 0.5, 0.880797, 1], atol=1e-6)
    np.testing.assert_allclose(logit(sigmoid(z[1:4])), z[1:4], atol=1e-5)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"ridge": 0}, "ridge"),
        ({"weight": -np.ones(400)}, "weights"),
        ({"weight": np.zeros(400)}, "weights"),
        ({"y": np.ones(399)}, "y has shape"),
    ],
)
def test_refuses(change, match):
    x, y, _, _ = data()
    with pytest.raises(ValueError, match=match):
        fit(x, **{"y": y, **change})


def test_every_column_may_have_a_ridge_of_its_own():
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((80, 6)).astype(np.float32), rng.random(80).astype(np.float32)
    ridges = [0.01, 0.1, 1.0]
    many = fit(x, y, ridge=ridges, intercept=True, tol=1e-6)
    for b, ridge in enumerate(ridges):
        one = fit(x, y, ridge=ridge, intercept=True, tol=1e-6)
        np.testing.assert_allclose(many.weights[:, b], one.weights[:, 0], atol=1e-4)
    with pytest.raises(ValueError, match="ridge must be above 0"):
        fit(x, y, ridge=[0.1, 0.0])
