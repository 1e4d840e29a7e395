"""A task folder with a planted truth, as the lab would write it."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from aarlab.kit.represent import represent
from aarlab.kit.task import W2STask


def plant(
    folder: Path,
    n: int = 600,
    m: int = 800,
    *,
    paired: bool = True,
    logprobs: bool = True,
    layers: int = 3,
    width: int = 24,
    seed: int = 0,
    noise: float = 1.0,
    length: int = 12,
) -> tuple[W2STask, dict[str, Any]]:
    """Write a task and its untrained twin; -> (task, truth). The student's features hold the label along
    a hidden direction; its log-probabilities favour the true side; the teacher sees a noisy hint and is
    about .7 right."""
    rng = np.random.default_rng(seed)
    sides = 2 if paired else 1
    truth: dict[str, Any] = {}
    direction = rng.standard_normal((layers, width))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    for part, rows in (("pool", n), ("test", m)):
        y = rng.integers(0, 2, rows)
        sign = (2 * y - 1)[:, None] * np.array([1, -1])[:sides]
        loud = np.linspace(0.6, 1.2, layers)[:, None]
        f = rng.standard_normal((rows, sides, layers, width)) * noise + sign[:, :, None, None] * direction * loud + 0.3
        np.save(folder / f"{part}.features.npy", f.astype(np.float16))
        np.save(folder / f"{part}.twin.features.npy", rng.standard_normal(f.shape).astype(np.float16))
        if logprobs:
            lp = -3 + 0.25 * sign[:, :, None] + rng.standard_normal((rows, sides, length))
            lp[:, :, 0] = np.nan
            ends = rng.integers(length // 2, length + 1, (rows, sides))
            lp[np.arange(length) >= ends[..., None]] = np.nan
            np.save(folder / f"{part}.logprobs.npy", lp.astype(np.float16))
            np.save(folder / f"{part}.twin.logprobs.npy", np.where(np.isnan(lp), np.nan, -4.0).astype(np.float16))
        weak = 1 / (1 + np.exp(-(1.2 * (2 * y - 1) + 2.2 * rng.standard_normal(rows)) * 0.6))
        np.save(folder / f"{part}.weak.npy", weak.astype(np.float32))
        np.save(
            folder / f"{part}.inputs.npy",
            np.array([[f"{part} {i} {s}" for s in range(sides)] for i in range(rows)]),
        )
        truth[part] = y
    meta = {"paired": paired, "layers": layers, "width": width, "seed": seed}
    (folder / "task.json").write_text(json.dumps(meta))
    return W2STask.load(folder), truth


def start(task: W2STask) -> tuple[Any, Any, Any]:
    """What a block begins with: representation (n, d), the teacher's labels (n,), weights of one (n,)."""
    x = represent(task)[0]
    return x, task.weak, np.ones(len(x), np.float32)


def right(labels: Any, truth: dict[str, Any]) -> float:
    """Share of the pool's labels on the side of the truth."""
    return float(((labels > 0.5) == truth["pool"]).mean())
