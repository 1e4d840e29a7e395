"""Folders of rows in the three-file layout: what the field's tests play on."""

import json
from pathlib import Path
from typing import Any

import numpy as np

NOUNS = [f"noun{i}" for i in range(30)]
GOOD, BAD = [f"good{i}" for i in range(200)], [f"evil{i}" for i in range(200)]


def single(n: int, first: int, rng: np.random.Generator, **extra: Any) -> list[dict[str, Any]]:
    """n rows about questions `first`, first + 1, ..., four answers each; right ones are of good words."""
    rows = []
    for i in range(n):
        label = bool(rng.random() < 0.5)
        said = [str(rng.choice(GOOD if label == (rng.random() < 0.8) else BAD)) for _ in range(3)]
        noun = NOUNS[(first + i // 4) % len(NOUNS)]
        rows.append({"question": f"about {noun} {first + i // 4}", "choice": " ".join([*said, str(i)]), "label": label, **extra})
    return rows


def paired(n: int, first: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    rows = []
    for i in range(n):
        good, bad = (" ".join([*rng.choice(words, 4), str(first + i)]) for words in (GOOD, BAD))
        label = "A" if rng.random() < 0.5 else "B"
        first_said, second_said = (good, bad) if label == "A" else (bad, good)
        rows.append({"prompt": f"about {NOUNS[i % 30]} {first + i}", "first": first_said, "second": second_said, "label": label})
    return rows


def write(folder: Path, kind: Any = single, sizes: tuple[int, int, int] = (160, 320, 320), seed: int = 0) -> Path:
    """The three files; no question is in two. A quarter of the test is out of distribution."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for name, n, first in zip(("train_label", "train_unlabel", "test"), sizes, (0, 1000, 2000), strict=True):
        rows = kind(n, first, rng)
        if name == "test":
            rows = [{**r, "split": "ood" if i >= 3 * n // 4 else "id"} for i, r in enumerate(rows)]
        save(folder / f"{name}.jsonl", rows)
    return folder


def save(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))


def load(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
