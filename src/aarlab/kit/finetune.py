"""Full fine-tuning of the student on soft, weighted labels: every weight moves, not only a head.

The student is the small language model of `kit/lm.py`; its weights (`student.safetensors`) and shape
(`student.json`) lie in the task folder. The untrained twin has the same shape and random weights.
"""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from aarlab.kit.lm import LM, PAD, LMConfig, load_lm, new_lm
from aarlab.kit.task import Student, W2STask


class Classifier(nn.Module):
    """The student with a linear head on its pooled last layer; for paired rows on side 0's minus side
    1's."""

    def __init__(self, body: LM, pool: str, paired: bool) -> None:
        super().__init__()
        self.body, self.pool, self.paired = body, pool, paired
        self.head = nn.Linear(body.config.width, 1, bias=not paired)
        nn.init.zeros_(self.head.weight)
        if not paired:
            nn.init.zeros_(self.head.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """(n, S, T) -> (n,) logits."""
        n, s, t = tokens.shape
        flat = tokens.reshape(n * s, t)
        real = (flat != PAD).float()
        count = real.sum(1).clamp(min=1)
        h = self.body.hidden(flat)[-1]
        if self.pool == "last":
            pooled = h[torch.arange(len(h)), count.long() - 1]
        else:
            pooled = (h * real[..., None]).sum(1) / count[:, None]
        pooled = pooled.view(n, s, -1)
        z = self.head(pooled[:, 0] - pooled[:, 1] if self.paired else pooled[:, 0])
        return z[:, 0]  # type: ignore[no-any-return]


def load_student(student: Student, seed: int = 0) -> Classifier:
    """The student, or its untrained twin with random weights from `seed`. Raises FileNotFoundError,
    saying what to do instead, where the task folder holds no model; ValueError for an unknown way of
    pooling."""
    shape, weights = student.folder / "student.json", student.folder / "student.safetensors"
    if not shape.exists():
        where = _name(shape)
        raise FileNotFoundError(f"{where} is not there: this student has features only; train a head on them")
    meta = json.loads(shape.read_text())
    if meta["pool"] not in ("mean", "last"):
        raise ValueError(f"{_name(shape)}: pool is {meta['pool']!r}, expected 'mean' or 'last'")
    config = LMConfig(**{k: int(meta[k]) for k in ("vocab", "length", "width", "layers", "heads")})
    with torch.random.fork_rng(devices=[]):  # making a model draws numbers, even if they are overwritten
        body = new_lm(config, seed) if student.untrained else load_lm(weights, config)
        return Classifier(body, meta["pool"], bool(meta["paired"]))


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def finetune(
    task: W2STask,
    y: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    epochs: int = 2,
    lr: float = 5e-4,
    batch: int = 32,
    head_lr: float = 5e-3,
    decay: float = 0.01,
    threads: int = 1,
) -> NDArray[np.float64]:
    """Fine-tune on the pool's labels y (n,) in [0, 1] with weights (n,); -> (m,) P(y = 1) on the test.

    AdamW with a linear warm-up over a tenth of the steps and a linear decay to zero; batches of similar
    length, in random order; a row's cross-entropy is multiplied by its weight over the mean weight.
    Randomness: task.seed. Raises ValueError for labels or weights that do not match the pool,
    FileNotFoundError without a model.
    """
    torch.set_num_threads(threads)
    model = load_student(task.student, task.seed)
    tokens = task.student.tokens("pool")
    target, w = checked(y, weight, len(tokens))
    rng = np.random.default_rng([task.seed, 13])
    keep = np.flatnonzero(w > 0)
    longest = (tokens != PAD).sum(-1).max(-1)
    steps = epochs * -(-len(keep) // batch)
    groups = [
        {"params": list(model.body.parameters()), "lr": lr},
        {"params": list(model.head.parameters()), "lr": head_lr},
    ]
    opt = torch.optim.AdamW(groups, weight_decay=decay, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        opt, lambda s: min((s + 1) / max(1, steps // 10), 1 - s / max(steps, 1))
    )
    model.train()
    for _ in range(epochs):
        for rows in _batches(keep, longest, batch, rng):
            x = torch.from_numpy(tokens[rows][:, :, : int(longest[rows].max())].astype(np.int64))
            loss = F.binary_cross_entropy_with_logits(
                model(x), torch.from_numpy(target[rows]), weight=torch.from_numpy(w[rows])
            )
            opt.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            opt.step()
            schedule.step()
    return predict(model, task.student.tokens("test"))


def checked(y: ArrayLike, weight: ArrayLike | None, n: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Labels and weights (n,), the weights over their mean. Raises ValueError for what does not match the pool."""
    target = np.asarray(y, np.float32)
    w = np.ones(n, np.float32) if weight is None else np.asarray(weight, np.float32)
    if target.shape != (n,) or w.shape != (n,):
        raise ValueError(f"the pool has {n} rows; labels have shape {target.shape}, weights {w.shape}")
    if not (np.isfinite(target).all() and (target >= 0).all() and (target <= 1).all()):
        raise ValueError("labels must be in [0, 1]")
    if not (np.isfinite(w).all() and (w >= 0).all() and w.sum() > 0):
        raise ValueError("weights must be finite and at least 0, and some above 0")
    return target, w / w[w > 0].mean()


def _batches(
    rows: NDArray[np.int64], longest: NDArray[np.int64], batch: int, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Shuffle, sort by length within stretches of 16 batches, cut, shuffle the batches: little padding,
    much chance."""
    shuffled = rng.permutation(rows)
    out = []
    for i in range(0, len(rows), 16 * batch):
        part = shuffled[i : i + 16 * batch]
        part = part[np.argsort(longest[part], kind="stable")]
        out += [part[j : j + batch] for j in range(0, len(part), batch)]
    return [out[i] for i in rng.permutation(len(out))]


@torch.no_grad()
def predict(model: Classifier, tokens: NDArray[np.int32], batch: int = 512) -> NDArray[np.float64]:
    """(n, S, T) tokens -> (n,) P(y = 1); sorted by length for speed, answered in the given order."""
    model.eval()
    longest = (tokens != PAD).sum(-1).max(-1)
    out = np.empty(len(tokens))
    order = np.argsort(longest, kind="stable")
    for i in range(0, len(order), batch):
        rows = order[i : i + batch]
        x = torch.from_numpy(tokens[rows][:, :, : max(1, int(longest[rows].max()))].astype(np.int64))
        out[rows] = torch.sigmoid(model(x)).double().numpy()
    return out
