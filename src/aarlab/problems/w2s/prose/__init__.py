"""w2s/prose: which of two versions of a sentence is the original? See README.md."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aarlab.problems.w2s.prose import data, teacher
from aarlab.problems.w2s.prose import student as model
from aarlab.problems.w2s.prose.leaks import leaked
from aarlab.problems.w2s.testbed import Draw, Encoded, Labelled, Predict, SetName, Testbed


@dataclass
class Prose:
    """Satisfies aarlab.problems.w2s.testbed.Testbed; see there for shapes."""

    name: str = "prose"
    question: str = "Which of the two versions of a sentence is the original, side 0 (y = 1) or side 1?"
    paired: bool = True
    generated: bool = False
    n_teacher: int = 300
    n_pool: int = 2500
    pool: Literal["mean", "last"] | None = "mean"
    students: tuple[int, ...] = (0, 1, 2)

    def draw(self, set_name: SetName, rng: np.random.Generator, shortcut: float = 0.0) -> Draw:
        """Sealed sets leave out every sentence that a sandbox could still read somewhere (see leaks.py)."""
        return data.draw(set_name, rng, shortcut, () if set_name == "practice" else leaked())

    def scramble(self, inputs: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        return data.scramble(inputs, rng)

    def unmarked(self, inputs: NDArray[Any]) -> NDArray[Any]:
        return data.unmarked(inputs)

    def fit_teacher(self, rows: Labelled, seed: int) -> Predict:
        return teacher.fit_teacher(rows, seed)

    def encode(self, inputs: NDArray[Any], student: int, *, untrained: bool = False) -> Encoded:
        return model.encode(inputs, student, untrained=untrained)

    def pretrain(self, seed: int, progress: Callable[[float], None] | None = None) -> None:
        model.pretrain(seed, progress)


TESTBED: Testbed = Prose()
