"""From a task to two plain matrices: what the student knows about the pool and about the test.

Every step is fitted on the pool without labels and does not depend on the basis of the features, because
every instance comes in a basis of its own: a layer is divided by one number, then principal axes are
taken. For paired rows a representation is side 0 minus side 1 and is never centred, so that exchanging
the sides flips its sign.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from aarlab.kit.task import Part, Student, W2STask

Floats = NDArray[np.float32]
Layers = str | tuple[int, ...]

LAYERS = ("all", "last", "first", "lower", "upper")
SUMMARIES = ("sum", "mean", "lowest", "second", "third", "last", "spread")


def represent(
    task: W2STask,
    layers: Layers = "all",
    logprobs: bool = True,
    pca: int | None = None,
    whiten: float = 0.0,
    logprob_scale: float = 1.0,
) -> tuple[Floats, Floats]:
    """-> pool (n, D), test (m, D), scaled on the pool.

    layers: "all", "last", "first", "lower" or "upper" (half), or numbers; `pca` keeps that many principal
    axes of the features, `whiten` in [0, 1] divides an axis by its spread to that power (1: full
    whitening); with `logprobs`, summaries of token log-probabilities come first, each with spread
    `logprob_scale`; a student without log-probabilities gives none. The arrays are shared within the
    process and read-only. Raises ValueError for an unknown layer, or if nothing at all is asked for.
    """
    return _represent(task.student, task.paired, layers, logprobs, pca, float(whiten), float(logprob_scale))


@lru_cache(maxsize=8)
def _represent(
    student: Student,
    paired: bool,
    layers: Layers,
    logprobs: bool,
    pca: int | None,
    whiten: float,
    lp_scale: float,
) -> tuple[Floats, Floats]:
    if pca is not None and pca < 1:
        raise ValueError(f"pca must be at least 1 or None, not {pca}")
    pool, test, spread = _axes(student, paired, layers)
    keep = int(np.sum(spread > 1e-4 * spread[0])) if len(spread) else 0
    keep = min(keep, pca or keep)
    scale = (spread[:keep] / spread[0]) ** -whiten if keep else np.ones(0, np.float32)
    # the whole keeps one size whatever the whitening, so that a ridge means the same
    scale = scale * np.sqrt(pool.shape[1] / max(float(((spread[:keep] * scale) ** 2).sum()), 1e-12))
    blocks = [(pool[:, :keep] * scale, test[:, :keep] * scale)]
    if logprobs and student.has_logprobs:
        lp = [_contrast(summaries(student, part), paired) for part in ("pool", "test")]
        mean = 0 if paired else lp[0].mean(0)
        rms = np.sqrt(((lp[0] - mean) ** 2).mean(0)) + 1e-6
        blocks.insert(0, ((lp[0] - mean) / rms * lp_scale, (lp[1] - mean) / rms * lp_scale))
    out = tuple(np.ascontiguousarray(np.hstack(b), dtype=np.float32) for b in zip(*blocks, strict=True))
    for a in out:
        a.flags.writeable = False
    return out[0], out[1]


def _contrast(a: Floats, paired: bool) -> Floats:
    return a[:, 0] - a[:, 1] if paired else a[:, 0]


@lru_cache(maxsize=8)
def _axes(student: Student, paired: bool, layers: Layers) -> tuple[Floats, Floats, Floats]:
    """Scaled layers rotated to the principal axes of the pool: (n, D), (m, D), spread of each axis (D,),
    falling."""
    pools, tests = [], []
    for layer in chosen(layers, student.layers):
        pool, test = (_contrast(features(student, part, layer), paired) for part in ("pool", "test"))
        mean = 0 if paired else pool.mean(0)
        pool, test = pool - mean, test - mean
        rms = np.sqrt(np.mean(pool * pool)) + 1e-12
        pools.append(pool / rms)
        tests.append(test / rms)
    pool, test = np.hstack(pools), np.hstack(tests)
    values, axes = np.linalg.eigh(pool.T @ pool / len(pool))
    spread = np.sqrt(np.maximum(values[::-1], 0)).astype(np.float32)
    axes = np.ascontiguousarray(axes[:, ::-1])
    return pool @ axes, test @ axes, spread


@lru_cache(maxsize=16)
def features(student: Student, part: Part, layer: int) -> Floats:
    """(n, S, d) features of one layer, read once in a process."""
    return student.features(part, layer)


def chosen(layers: Layers, count: int) -> tuple[int, ...]:
    """Numbers of the layers meant; raises ValueError for a name or a number that is none."""
    half = (count + 1) // 2
    names = {
        "all": range(count),
        "last": range(count - 1, count),
        "first": range(1),
        "lower": range(half),
        "upper": range(count - half, count),
    }
    if isinstance(layers, str):
        if layers not in names:
            raise ValueError(f"no layers {layers!r}; known: {', '.join(names)}, or a tuple of numbers")
        return tuple(names[layers])
    if not layers or any(not -count <= i < count for i in layers):
        raise ValueError(f"layers {layers} of a student with {count}")
    return tuple(i % count for i in layers)


@lru_cache(maxsize=4)
def summaries(student: Student, part: Part) -> Floats:
    """(n, S, 7) of the token log-probabilities of a side: SUMMARIES, in that order; 0 for a row without
    tokens.

    Raises ValueError for a student without log-probabilities.
    """
    if not student.has_logprobs:
        raise ValueError("this student has no log-probabilities (it does not model tokens)")
    lp = student.logprobs(part)
    real = ~np.isnan(lp)
    count = np.maximum(real.sum(-1), 1)
    zero = np.where(real, lp, 0)
    total = zero.sum(-1)
    mean = total / count
    lowest = np.partition(np.where(real, lp, np.inf), (0, 1, 2), axis=-1)[..., :3]
    lowest = np.where(np.isfinite(lowest), lowest, 0)
    end = lp.shape[-1] - 1 - np.argmax(real[..., ::-1], axis=-1)
    last = np.take_along_axis(zero, end[..., None], -1)[..., 0]
    spread = np.sqrt(np.maximum((zero * zero).sum(-1) / count - mean * mean, 0))
    parts = [total, mean, *np.moveaxis(lowest, -1, 0), last, spread]
    return np.stack(parts, -1).astype(np.float32)


@lru_cache(maxsize=4)
def sides(student: Student, layers: Layers, pca: int) -> Floats:
    """(n, 2, k) of the pool's paired rows: each side centred by its own mean (Burns et al. 2022), k
    common axes.

    Raises ValueError for rows that are not paired.
    """
    if not student.paired:
        raise ValueError("sides need paired rows: these rows have one side")
    out = []
    for layer in chosen(layers, student.layers):
        f = features(student, "pool", layer)
        f = f - f.mean(0)
        out.append(f / (np.sqrt(np.mean(f * f)) + 1e-12))
    x = np.concatenate(out, -1)
    flat = x.reshape(-1, x.shape[-1])
    values, axes = np.linalg.eigh(flat.T @ flat / len(flat))
    keep = min(pca, len(values))
    spread = np.sqrt(np.maximum(values[::-1][:keep], 1e-8))
    return np.asarray((flat @ (axes[:, ::-1][:, :keep] / spread)).reshape(len(x), 2, keep), np.float32)
