"""Logistic heads on fixed features: soft labels, row weights, many fits at once, in milliseconds.

The loss of column b, with row weights w scaled to sum to 1, is

    sum_i w_i CE(y_i, s(x_i . v + c)) + ridge / 2 |v|^2,      s the logistic function,

so `ridge` means the same whatever the number of rows (scikit-learn's C is 1 / (ridge * sum of weights)).
It is minimised by a truncated Newton method: conjugate gradients on the Hessian, preconditioned by its
diagonal at p = 1/2 (Komarek & Moore 2005). Columns share every product with x, so ten fits cost
far less than ten times one. numpy alone: importing scipy would cost more than a fit.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]


def sigmoid(z: Floats) -> Floats:
    """Logistic function, elementwise, without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(np.float32(0.5) * z)), np.float32)


def logit(p: ArrayLike, clip: float = 1e-3) -> Floats:
    """Log-odds of probabilities clipped to [clip, 1 - clip]."""
    q = np.clip(np.asarray(p, np.float32), clip, 1 - clip)
    return np.asarray(np.log(q / (1 - q)), np.float32)


@dataclass(frozen=True)
class Head:
    """B linear heads. weights: (d, B); bias: (B,), zeros for paired rows (so that swapping the sides
    gives 1 - P)."""

    weights: Floats
    bias: Floats

    def logits(self, x: Floats) -> Floats:
        """(n, d) -> (n, B)."""
        return x @ self.weights + self.bias

    def predict(self, x: Floats) -> NDArray[np.float64]:
        """(n, d) -> (n,) P(y = 1): the heads' logits are averaged."""
        return sigmoid(self.logits(x).mean(1)).astype(np.float64)

    def mean(self) -> "Head":
        """The single head whose logits are the average of these."""
        return Head(self.weights.mean(1, keepdims=True), self.bias.mean(keepdims=True))


def _columns(a: ArrayLike, n: int, what: str) -> Floats:
    out = np.asarray(a, np.float32)
    out = out[:, None] if out.ndim == 1 else out
    if out.ndim != 2 or len(out) != n:
        raise ValueError(f"{what} has shape {np.shape(a)}; expected ({n},) or ({n}, B)")
    return out


def fit(
    x: Floats,
    y: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    ridge: ArrayLike = 1e-2,
    intercept: bool = False,
    start: Head | None = None,
    tol: float = 1e-3,
    steps: int = 25,
) -> Head:
    """Fit B heads. x: (n, d); y: (n,) or (n, B) in [0, 1]; weight: (n,) or (n, B), at least 0, or None
    for ones; ridge: one number, or one a column (B,).

    `start` warm-starts; `tol` is the gradient's norm relative to its norm at zero weights. Raises
    ValueError for shapes that do not fit, ridge <= 0, negative weights, or a column without any weight.
    """
    lam = np.asarray(ridge, np.float32)
    if not (lam > 0).all():
        raise ValueError(f"ridge must be above 0, not {ridge!r}")
    n, d = x.shape
    x = np.ascontiguousarray(x, np.float32)
    target = _columns(y, n, "y")
    w = _columns(np.ones(n) if weight is None else weight, n, "weight")
    total = w.sum(0)
    if not np.all(np.isfinite(total)) or (w < 0).any() or (total <= 0).any():
        raise ValueError("weights must be finite and at least 0, and some above 0")
    w = w / total
    columns = max(target.shape[1], w.shape[1], lam.size)
    dense = w.shape[1] == 1  # rows without any weight cost time and change nothing
    if dense and np.count_nonzero(w) < 0.8 * n:
        rows = np.flatnonzero(w[:, 0])
        x, target, w = x[rows], target[rows], w[rows]
    w, target = np.broadcast_to(w, (len(x), columns)), np.broadcast_to(target, (len(x), columns))
    if start is None:
        v, c = np.zeros((d, columns), np.float32), np.zeros(columns, np.float32)
        z = np.zeros((len(x), columns), np.float32)
    else:
        v = np.broadcast_to(start.weights, (d, columns)).astype(np.float32)
        c = np.broadcast_to(start.bias, columns).astype(np.float32) * np.float32(intercept)
        z = x @ v + c
    scale = 1 / ((0.25 * np.einsum("nd,nd->d", x, x, optimize=True) / len(x))[:, None] + lam)

    # a row's loss log(1 + e^z) - y z, in a form that cannot overflow
    def loss(z: Floats, v: Floats) -> Floats:
        row = np.maximum(z, 0) - target * z + np.log1p(np.exp(-np.abs(z)))
        return np.asarray((w * row).sum(0) + lam / 2 * (v * v).sum(0))

    p = sigmoid(z)
    g, gc = _gradient(x, w * (p - target), v, lam, intercept)
    size = np.sqrt((g * g).sum(0) + gc * gc)
    if start is None:
        goal = tol * size
    else:
        g0, gc0 = _gradient(x, w * (np.float32(0.5) - target), np.zeros_like(v), lam, intercept)
        goal = tol * np.sqrt((g0 * g0).sum(0) + gc0 * gc0)
    goal = np.maximum(goal, 1e-7)
    value = loss(z, v)
    for _ in range(steps):
        if (size <= goal).all():
            break
        s, sc, zs = _newton_direction(x, w * p * (1 - p), g, gc, scale, lam, intercept, np.minimum(0.1, goal / size))
        step = np.where(size <= goal, 0, 1).astype(np.float32)
        for _ in range(12):  # halve the step of the columns whose loss would rise
            trial_v, trial_z = v + step * s, z + step * zs
            trial = loss(trial_z, trial_v)
            worse = trial > value + 1e-6 * np.abs(value)
            if not worse.any():
                break
            step = np.where(worse, step / 2, step)
        v, z, c, value = trial_v, trial_z, c + step * sc, trial
        p = sigmoid(z)
        g, gc = _gradient(x, w * (p - target), v, lam, intercept)
        size = np.sqrt((g * g).sum(0) + gc * gc)
    return Head(v, c)


def _gradient(x: Floats, r: Floats, v: Floats, lam: Floats, intercept: bool) -> tuple[Floats, Floats]:
    g = x.T @ r + lam * v
    gc = r.sum(0) if intercept else np.zeros(r.shape[1], np.float32)
    return g, gc


def _newton_direction(
    x: Floats, h: Floats, g: Floats, gc: Floats, scale: Floats, lam: Floats, intercept: bool, tol: Floats
) -> tuple[Floats, Floats, Floats]:
    """Solve H s = -g by preconditioned conjugate gradients; returns s (d, B), its bias part (B,) and x s
    (n, B)."""
    s, sc, zs = np.zeros_like(g), np.zeros_like(gc), np.zeros((len(x), g.shape[1]), np.float32)
    r, rc = -g, -gc
    scale_c = np.float32(4)
    q, qc = scale * r, scale_c * rc
    rho = (r * q).sum(0) + rc * qc
    goal = tol * tol * rho  # in the preconditioner's norm
    for _ in range(40):
        zq = x @ q + qc
        hq = h * zq
        a, ac = x.T @ hq + lam * q, (hq.sum(0) if intercept else np.zeros_like(qc))
        curve = (q * a).sum(0) + qc * ac
        alpha = np.where(rho > goal, rho / np.maximum(curve, 1e-30), 0).astype(np.float32)
        s, sc, zs = s + alpha * q, sc + alpha * qc, zs + alpha * zq
        r, rc = r - alpha * a, rc - alpha * ac
        u, uc = scale * r, scale_c * rc
        rho_new = (r * u).sum(0) + rc * uc
        if (rho_new <= goal).all():
            break
        beta = np.where(rho > goal, rho_new / np.maximum(rho, 1e-30), 0).astype(np.float32)
        q, qc, rho = u + beta * q, uc + beta * qc, rho_new
    return s, sc, zs


def out_of_fold(
    x: Floats, y: ArrayLike, weight: ArrayLike | None, *, ridge: float, intercept: bool, folds: int, seed: int
) -> Floats:
    """(n,) logits of every row from a head that did not see it (Stone 1974). All folds are fitted at
    once."""
    n = len(x)
    if not 2 <= folds <= n:
        raise ValueError(f"folds must be between 2 and the number of rows, not {folds}")
    fold = np.random.default_rng(seed).permutation(n) % folds
    base = np.ones(n, np.float32) if weight is None else np.asarray(weight, np.float32)
    kept = base[:, None] * (fold[:, None] != np.arange(folds))
    head = fit(x, y, kept, ridge=ridge, intercept=intercept)
    return head.logits(x)[np.arange(n), fold]


def balance(head: Head, x: Floats, share: float = 0.5) -> Head:
    """Shift each bias so that the given share of the rows x (n, d) is on the side of y = 1 (a label-shift
    prior)."""
    z = head.logits(x)
    return Head(head.weights, (head.bias - np.quantile(z, 1 - share, axis=0)).astype(np.float32))
