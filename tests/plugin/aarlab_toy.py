"""A weak-to-strong testbed that takes milliseconds, published as anybody would publish one: by an entry point.

A row is a pair of numbers in text, "a b": the label is the sign of a. The teacher mistakes b for a part of it; the
student has a, loudly, and b, quietly; its untrained twin has noise. A planted shortcut is an exclamation mark after
rows whose label is 1.
"""

import json
import shutil
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aarlab.problems.base import Ask, Instance
from aarlab.problems.w2s.problem import W2S
from aarlab.problems.w2s.testbed import Draw, Encoded, Labelled


class Toy:
    name = "toy"
    question = "is the first number positive?"
    paired = False
    generated = False
    n_teacher = 60
    n_pool = 300
    pool = None
    students = (0, 1, 2)
    n_test = 400

    def draw(self, set_name: str, rng: np.random.Generator, shortcut: float = 0.0) -> Draw:
        first = {"practice": 0, "search": 1, "select": 2, "final": 3}[set_name] * 10_000

        def rows(n: int, start: int) -> Labelled:
            y = (np.arange(n) % 2).astype(np.int8)
            a = (rng.random(n) * 2 + 0.2) * np.where(y == 1, 1, -1)
            b = rng.normal(size=n)
            marked = (y == 1) & (rng.random(n) < shortcut) if shortcut else np.zeros(n, bool)
            inputs = np.array([[f"{u:.4f} {v:.4f}" + "!" * bool(m)] for u, v, m in zip(a, b, marked, strict=True)])
            return Labelled(inputs, y, np.arange(start, start + n), np.arange(n) % 4 == 0)

        return Draw(rows(200, first), rows(400, first + 2000), rows(self.n_test, first + 5000), "sign")

    def scramble(self, inputs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        marked = rng.permutation([t.endswith("!") for t in inputs[:, 0]])
        rows = [[t.rstrip("!") + "!" * bool(m)] for t, m in zip(inputs[:, 0], marked, strict=True)]
        return np.array(rows).reshape(-1, 1)

    def unmarked(self, inputs: np.ndarray) -> np.ndarray:
        return np.array([[t.rstrip("!")] for t in inputs[:, 0]]).reshape(-1, 1)

    def fit_teacher(self, rows: Labelled, seed: int) -> Any:
        tilt = np.random.default_rng(seed).normal(1.0, 0.1)

        def predict(rows: Labelled) -> np.ndarray:
            a, b = self._numbers(rows.inputs)
            return 1 / (1 + np.exp(-(0.5 * a + tilt * b)))

        return predict

    def encode(self, inputs: np.ndarray, student: int, *, untrained: bool = False) -> Encoded:
        a, b = self._numbers(inputs)
        seeds = [zlib.crc32(f"{t.rstrip('!')} {student}".encode()) for t in inputs[:, 0]]
        x = np.stack([np.random.default_rng(s).normal(size=(2, 6)) for s in seeds])
        if not untrained:
            x[:, :, 0] += 6 * a[:, None]
            x[:, :, 1] += b[:, None]
        return Encoded(x[:, None].astype(np.float16), None, None)

    def pretrain(self, seed: int, progress: Any = None) -> None:
        raise ValueError("the toy student is not trained")

    def _numbers(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pairs = np.array([t.rstrip("!").split() for t in inputs[:, 0]], dtype=float)
        return pairs[:, 0], pairs[:, 1]


class ToyProblem(W2S):
    @property
    def transfers(self) -> list[str]:
        return []  # the others take seconds


class Twice(ToyProblem):
    """Another problem on the same rows, which asks a method twice: what it said first stands in the teacher's place on
    the test when it is asked again, and that answer counts. A method is a `guess`, or a `run` as the kit's are."""

    @property
    def name(self) -> str:
        return "toy/twice"

    @property
    def entries(self) -> tuple[str, ...]:
        return ("guess", "run")

    def play(self, instances: Sequence[Instance], ask: Ask) -> Sequence[np.ndarray]:
        said: list[Any] = [None] * len(instances)
        for turn in range(2):
            with tempfile.TemporaryDirectory() as home:
                folders = [Path(home) / str(i) for i in range(len(instances))]
                for folder, instance, before in zip(folders, instances, said, strict=True):
                    shutil.copytree(instance.task, folder)
                    meta = json.loads((folder / "task.json").read_text())
                    (folder / "task.json").write_text(json.dumps({**meta, "entry": ask.entry, "turn": turn}))
                    if before is not None:
                        np.save(folder / "test.weak.npy", before.astype(np.float32))
                said = list(ask(folders, [self.output(i) for i in instances]))
        return said

    def exhibits(self, instance: Instance, output: np.ndarray) -> list[dict[str, Any]]:
        return [{
            "question": "is it positive?", "truth": "yes", "lie": "no", "image": None, "sentences": ["a", "b"],
            "legal": [True, True], "before": 0.5, "won": True, "whole": True,
            "steps": [{"item": 0, "side": "truth", "belief": float(output[0])}],
        }]  # fmt: skip

    def notes(self, instance: Instance, output: np.ndarray) -> dict[str, float]:
        return {"sure": float(np.mean(np.abs(output - 0.5) > 0.4))}


def load(name: str, store: Path | None = None) -> W2S:
    return (Twice if name == "toy/twice" else ToyProblem)(Toy(), store)
