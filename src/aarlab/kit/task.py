"""What a weak-to-strong method is given: a pool with weak labels, a test, the teacher and the student.

A task is a folder of arrays that the lab writes and mounts read-only; `W2STask.load` opens it. Axes are named in
every docstring: n rows, S sides (2 when a row is a pair, else 1), L layers, d width, T tokens.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aarlab.kit.answers import check, numbers

Part = Literal["pool", "test"]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Rows:
    """The rows of one part, as a person would read them. `inputs`: (n, S) strings, or (n, S, h, w) images."""

    inputs: NDArray[Any]

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True)
class Teacher:
    """The weak teacher's P(y = 1) for every row. Its predictions on the test are its own, not the truth."""

    pool: Floats
    test: Floats


@dataclass(frozen=True)
class Student:
    """A handle on the strong student: its features and log-probabilities, and those of its untrained twin."""

    folder: Path
    paired: bool
    layers: int
    width: int
    untrained: bool = False

    @property
    def twin(self) -> "Student":
        """The same architecture with random weights: what the student knows is what this one does not."""
        return Student(self.folder, self.paired, self.layers, self.width, untrained=True)

    @property
    def has_logprobs(self) -> bool:
        return self._path("pool", "logprobs").exists()

    def features(self, part: Part, layer: int = -1) -> Floats:
        """(n, S, d) features of one layer, pooled over tokens or pixels; layer 0 is the lowest, -1 the last."""
        features = np.load(self._path(part, "features"), mmap_mode="r")
        return np.asarray(features[:, :, layer, :], dtype=np.float32)

    def logprobs(self, part: Part) -> Floats:
        """(n, S, T) log-probability of every token given those before it; NaN after the end of a row."""
        return np.load(self._path(part, "logprobs")).astype(np.float32)  # type: ignore[no-any-return]

    def tokens(self, part: Part) -> NDArray[np.int32]:
        """(n, S, T) token numbers, 0 after the end of a row; images: (n, S, pixels)."""
        return np.load(self._path(part, "tokens")).astype(np.int32)  # type: ignore[no-any-return]

    def _path(self, part: Part, what: str) -> Path:
        twin = "twin." if self.untrained and what != "tokens" else ""
        return self.folder / f"{part}.{twin}{what}.npy"


@dataclass(frozen=True)
class W2STask:
    """One instance of a weak-to-strong problem. A method returns (n_test,) P(y = 1) in [0, 1].

    pool, test: rows; weak: (n_pool,) the teacher's P(y = 1) on the pool; paired: a row is an ordered pair whose
    label says that the first side is the wanted one (y = 1), and exchanging the sides exchanges the label.
    """

    pool: Rows
    test: Rows
    weak: Floats
    teacher: Teacher
    student: Student
    paired: bool
    seed: int

    @classmethod
    def load(cls, folder: Path, *, untrained: bool = False) -> "W2STask":
        """Open a task folder. With `untrained`, the student handle is its untrained twin (an ablation)."""
        meta = json.loads((folder / "task.json").read_text())
        weak = np.load(folder / "pool.weak.npy").astype(np.float32)
        student = Student(folder, meta["paired"], meta["layers"], meta["width"], untrained=untrained)
        return cls(
            pool=Rows(np.load(folder / "pool.inputs.npy", mmap_mode="r")),
            test=Rows(np.load(folder / "test.inputs.npy", mmap_mode="r")),
            weak=weak,
            teacher=Teacher(weak, np.load(folder / "test.weak.npy").astype(np.float32)),
            student=student,
            paired=meta["paired"],
            seed=meta["seed"],
        )

    def accept(self, output: Any) -> NDArray[np.float64]:
        """Validate what a method returned: (n_test,) P(y = 1), or (n_test, 2) class probabilities, in [0, 1]."""
        n, what = len(self.test), "one P(y = 1) a test row"
        p = numbers(output, what)
        return check(p[:, 1] if p.shape == (n, 2) else p, (n,), 0.0, 1.0, what)
