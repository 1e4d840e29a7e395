"""An evolution strategy on a low-rank adapter of the student (Salimans et al. 2017; Hu et al. 2021), as the AAR study's
researchers used one: no gradient, no label that a person gave.

The adapter is added to the last block's second feed-forward matrix, W + U V, U (4 d, r) random and fixed, V (r, d) from
zero (LoRA-FA; Zhang et al. 2023): all that lies below is computed once, so a fitness costs one thin product. A logistic
head is fitted to the labels first and stays. fitness(V) is `blocks.evolve`'s, on unlabelled rows of the pool: clear and
swap-consistent answers (a pair is a difference, so exchanging its sides exchanges the answer exactly) that do not leave
the labels. Members differ by U and their dice; their logits are averaged without the highest and the lowest.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from aarlab.kit.blocks.evolve import score
from aarlab.kit.finetune import Classifier, checked, load_student
from aarlab.kit.heads import Floats, fit, sigmoid
from aarlab.kit.lm import PAD, Block
from aarlab.kit.task import W2STask

Chunk = tuple[Floats, Floats, NDArray[np.int64], NDArray[np.float32]]


def evolve_adapter(
    task: W2STask,
    y: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    rank: int = 4,
    members: int = 3,
    generations: int = 10,
    pairs: int = 8,
    sigma: float = 0.1,
    rate: float = 0.3,
    trust: float = 1.0,
    ridge: float = 1e-2,
    rows: int = 300,
    threads: int = 1,
) -> NDArray[np.float64]:
    """Labels y (n,) in [0, 1] with weights (n,) on the pool -> (m,) P(y = 1) on the test. `rows` of the pool, drawn by
    task.seed, are what the fitness sees. Raises what `finetune` raises."""
    torch.set_num_threads(threads)
    model = load_student(task.student, task.seed)
    tokens = task.student.tokens("pool")
    label, w = checked(y, weight, len(tokens))
    x = np.concatenate([pooled(chunk, None) for chunk in chunks(model, tokens)])
    x = contrast(x, task.paired)
    size = np.float32(np.sqrt((x * x).mean()) + 1e-9)
    head = fit(x / size, label, w, ridge=ridge, intercept=not task.paired)
    rng = np.random.default_rng([task.seed, 97])
    part = np.sort(rng.permutation(len(tokens))[:rows])
    seen = list(chunks(model, tokens[part]))
    pull, even = np.float32(trust) * (2 * label[part] - 1), (w[part] + 1e-6) / (w[part] + 1e-6).sum()

    def answers(adapter: tuple[Floats, Floats], known: list[Chunk]) -> Floats:
        features = contrast(np.concatenate([pooled(chunk, adapter) for chunk in known]), task.paired)
        return head.logits(features / size)[:, 0]

    adapters = []
    inner = seen[0][1]
    unit = np.float32(np.sqrt((seen[0][0] ** 2).mean()))
    for _ in range(members):
        u = rng.standard_normal((inner.shape[1], rank)).astype(np.float32)
        u /= np.sqrt(((inner[:512] @ u) ** 2).mean(0)) + np.float32(1e-9)
        v = np.zeros((rank, x.shape[1]), np.float32)
        for _ in range(generations):
            noise = rng.standard_normal((pairs, *v.shape)).astype(np.float32) * unit * np.float32(sigma / np.sqrt(rank))
            z = np.stack([answers((u, v + sign * e), seen) for sign in (1, -1) for e in noise], 1)
            fitness = score(z, pull, even.astype(np.float32))
            order = np.argsort(np.argsort(fitness)).reshape(2, pairs) / (2 * pairs - 1) - 0.5
            step = np.tensordot((order[0] - order[1]).astype(np.float32), noise, 1)
            v = np.asarray(v + np.float32(rate) * step, np.float32)
        adapters.append((u, v))
    parts: list[list[Floats]] = [[] for _ in adapters]
    for chunk in chunks(model, task.student.tokens("test")):
        for said, adapter in zip(parts, adapters, strict=True):
            said.append(answers(adapter, [chunk]))
    return sigmoid(trimmed(np.stack([np.concatenate(said) for said in parts]))).astype(np.float64)


def trimmed(z: Floats) -> Floats:
    """(members, m) -> (m,) mean without the highest and the lowest, where three or more are there."""
    z = np.sort(z, axis=0)
    return np.asarray((z[1:-1] if len(z) > 2 else z).mean(0), np.float32)


def contrast(x: Floats, paired: bool) -> Floats:
    """(n S, d) -> (n, d): side 0 less side 1, or the row."""
    return x[::2] - x[1::2] if paired else x


@torch.no_grad()
def chunks(model: Classifier, tokens: NDArray[np.int32], batch: int = 128) -> Iterator[Chunk]:
    """Of every `batch` rows, for each token that counts: the last block's output before the adapter (k, d) and what its
    second matrix is applied to (k, 4 d); where a side begins in these, (b S,); the last norm's weight and bias."""
    model.eval()
    body = model.body
    for i in range(0, len(tokens), batch):
        flat = torch.from_numpy(tokens[i : i + batch].reshape(-1, tokens.shape[2]).astype(np.int64))
        count = (flat != PAD).sum(1).clamp(min=1)
        flat = flat[:, : int(count.max())]
        block = body.blocks[-1]
        assert isinstance(block, Block)
        mixed = block.attend(body.hidden(flat)[-2])
        inner = block.inner(mixed)
        out = mixed + block.down(inner)
        at = torch.arange(flat.shape[1])
        real = at == count[:, None] - 1 if model.pool == "last" else at < count[:, None]
        starts = np.concatenate([[0], real.sum(1).cumsum(0)[:-1].numpy()])
        norm = np.stack([body.norm.weight.numpy(), body.norm.bias.numpy()])
        yield out[real].numpy(), inner[real].numpy(), starts, norm


def pooled(chunk: Chunk, adapter: tuple[Floats, Floats] | None) -> Floats:
    """(b S, d) normed and pooled features of a chunk under an adapter."""
    out, inner, starts, norm = chunk
    h = out if adapter is None else out + (inner @ adapter[0]) @ adapter[1]
    h = h - h.mean(1, keepdims=True)
    h = h / np.sqrt((h * h).mean(1, keepdims=True) + np.float32(1e-5)) * norm[0] + norm[1]
    length = np.diff(np.append(starts, len(h)))
    return np.asarray(np.add.reduceat(h, starts, axis=0) / length[:, None], np.float32)
