"""w2s/program: is a claimed run of a short program right? See README.md."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aarlab.problems.w2s.program import data, teacher
from aarlab.problems.w2s.program import student as model
from aarlab.problems.w2s.testbed import Draw, Encoded, Labelled, Predict, SetName, Testbed


@dataclass(frozen=True)
class Program:
    """Satisfies aarlab.problems.w2s.testbed.Testbed; see there for shapes."""

    name: str = "program"
    question: str = "Is the claimed run of a short program right in every step?"
    paired: bool = False
    generated: bool = True
    n_teacher: int = 600
    n_pool: int = 4000
    pool: Literal["mean", "last"] | None = "mean"
    students: tuple[int, ...] = (0, 1, 2)

    def draw(self, set_name: SetName, rng: np.random.Generator, shortcut: float = 0.0) -> Draw:
        return data.draw(set_name, rng, shortcut)

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


TESTBED: Testbed = Program()
