"""Unsupervised elicitation (internal coherence maximisation; Wen et al. 2025, arXiv 2506.10139), on
features.

Labels are sought that predict one another: U = sum_i log P(y_i | x_i, all others), by annealing from a
first guess. P is a ridge regression's leave-one-out prediction m_i, exact and closed: m_i = (f_i - h_i
y_i) / (1 - h_i), f = H y, labels in {-1, 1} (Allen 1974). A row's chance to flip is s(-(y_i m_i + trust
t_i y_i) / T), T falling. Consistency (exchanging the sides exchanges the label) holds by construction,
for a pair is represented by a difference.

The first guess is the student's zero-shot label where it has log-probabilities, else a two-means
clustering, else the teacher's labels; the teacher gives the sign, and with `trust` above 0 a vote.
"""

import numpy as np

from aarlab.kit.blocks.base import Floats, Labels, best, classes, mix
from aarlab.kit.blocks.zero_shot import zero_shot_scores
from aarlab.kit.heads import logit
from aarlab.kit.task import W2STask

STARTS = ("zero_shot", "cluster", "teacher")


def elicit(
    task: W2STask,
    x: Floats,
    y: Floats,
    weight: Floats,
    *,
    start: str = "zero_shot",
    rounds: int = 20,
    ridge: float = 0.1,
    heat: float = 0.3,
    trust: float = 0.0,
    keep: float = 1.0,
    share: float = 1.0,
) -> Labels:
    """y <- (1 - share) y + share 1[label > 0]; weight <- the share `keep` of the most predictable rows of
    each class.

    heat: the first temperature, in units of the margins' root mean square. Raises ValueError for an
    unknown start.
    """
    rng = np.random.default_rng([task.seed, 53])
    label = first_guess(task, x, y, start)
    ones = x if task.paired else np.hstack([x, np.ones((len(x), 1), np.float32)])
    half, leverage = smoother(ones, ridge)
    vote = np.float32(trust) * logit(y) / np.float32(np.std(logit(y)) + 1e-6)
    margin = np.zeros_like(label)
    for step in range(rounds):
        margin = loo(ones, half, leverage, label)
        margin = margin / (np.sqrt(np.mean(margin**2)) + np.float32(1e-9)) + vote
        if not task.paired:
            margin = margin - np.median(margin)  # as many of one class as of the other
        heat_now = max(heat * (1 - step / max(rounds - 1, 1)), 1e-3)
        chance = 0.5 * (1 - np.tanh(0.5 * label * margin / heat_now))
        label = np.where(rng.random(len(label)) < chance, -label, label).astype(np.float32)
    if (label * (y - 0.5) * weight).sum() < 0:
        label, margin = -label, -margin
    new = (label > 0).astype(np.float32)
    chosen = best(label * margin, weight, keep, classes(task, new)).astype(np.float32)
    return mix(y, new, share), weight * chosen


def first_guess(task: W2STask, x: Floats, y: Floats, start: str) -> Floats:
    """(n,) labels in {-1, 1}."""
    if start not in STARTS:
        raise ValueError(f"no start {start!r}; known: {', '.join(STARTS)}")
    if start == "zero_shot" and task.student.has_logprobs:
        score = zero_shot_scores(task)[0]
    elif start == "teacher":
        score = y - np.float32(0.5)
    else:
        score = cluster(x) * np.sign(((y - 0.5) * cluster(x)).sum() + 1e-9)
    return np.where(score >= 0, 1, -1).astype(np.float32)


def cluster(x: Floats, rounds: int = 10) -> Floats:
    """(n,) side of a symmetric two-means clustering (centres c and -c), started at the widest column of
    x."""
    s = np.sign(x[:, int(np.argmax((x * x).mean(0)))])
    for _ in range(rounds):
        s = np.sign(x @ (x.T @ s))
    return s


def smoother(x: Floats, ridge: float) -> tuple[Floats, Floats]:
    """H = half x^T of ridge regression: half (n, d) and the leverages diag H (n,)."""
    n, d = x.shape
    gram = x.T @ x / n + np.float32(ridge) * np.eye(d, dtype=np.float32)
    half = np.asarray(x @ np.linalg.inv(gram) / n, np.float32)
    return half, np.asarray((half * x).sum(1), np.float32)


def loo(x: Floats, half: Floats, leverage: Floats, label: Floats) -> Floats:
    """(n,) prediction of every row's label from all the other rows."""
    return np.asarray((half @ (x.T @ label) - leverage * label) / (1 - leverage), np.float32)
