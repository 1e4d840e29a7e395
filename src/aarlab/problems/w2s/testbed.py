"""What one weak-to-strong testbed supplies: rows, a teacher, a student. Everything else is shared (problem.py)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from aarlab.problems.draws import SETS, SetName

__all__ = ["SETS", "Draw", "Encoded", "Labelled", "Predict", "SetName", "Testbed"]


@dataclass(frozen=True)
class Labelled:
    """Rows with their truth: lab-side only. n rows, S sides.

    inputs: (n, S) unicode strings or (n, S, h, w) images; y: (n,) 0 or 1; unit: (n,) number of the source unit
    (rows of one unit are not independent, and no unit is in two sets or two parts); ood: (n,) out of distribution.
    """

    inputs: NDArray[Any]
    y: NDArray[np.int8]
    unit: NDArray[np.int64]
    ood: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.y)

    def take(self, index: NDArray[Any]) -> "Labelled":
        return Labelled(self.inputs[index], self.y[index], self.unit[index], self.ood[index])


@dataclass(frozen=True)
class Draw:
    """One draw of a set: candidates for the teacher's few labels, the pool, the test; and the concept, in words.

    The pool and the teacher's rows are in distribution; the test has both parts.
    """

    teacher: Labelled
    pool: Labelled
    test: Labelled
    concept: str


@dataclass(frozen=True)
class Encoded:
    """What a student makes of n rows. features: (n, S, L, d) float16; logprobs: (n, S, T) float16, NaN after the
    end; tokens: (n, S, T) integers, 0 after the end. An encoder of images has no logprobs."""

    features: NDArray[np.float16]
    logprobs: NDArray[np.float16] | None
    tokens: NDArray[np.int32] | None


Predict = Callable[[Labelled], NDArray[np.float64]]


class Testbed(Protocol):
    """A data set and a pair of models. Every random choice comes from the generator or seed that is handed in."""

    @property
    def name(self) -> str:
        """The name after `w2s/`, such as prose."""

    @property
    def question(self) -> str:
        """One sentence: what is the label?"""

    @property
    def paired(self) -> bool:
        """A row is an ordered pair."""

    @property
    def generated(self) -> bool:
        """Rows can be drawn without end: `search` gets a fresh set for every submission."""

    @property
    def n_teacher(self) -> int:
        """Labelled rows that one teacher draw sees."""

    @property
    def n_pool(self) -> int:
        """Rows of the pool that one instance sees (the draw holds more)."""

    @property
    def pool(self) -> Literal["mean", "last"] | None:
        """How a language model's tokens are pooled; None: no language model."""

    @property
    def students(self) -> tuple[int, ...]:
        """Pretraining seeds: [0] practice, the others sealed."""

    def draw(self, set_name: SetName, rng: np.random.Generator, shortcut: float = 0.0) -> Draw:
        """Draw a set. Concepts of `practice` and of the sealed sets are disjoint; units are split once."""

    def scramble(self, inputs: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        """The same rows with the shortcut's mark dealt anew, without regard to the label; the mark stays as frequent.
        Raises ValueError where the testbed plants none."""

    def unmarked(self, inputs: NDArray[Any]) -> NDArray[Any]:
        """The same rows without the mark: all that the teacher is shown where one is planted."""

    def fit_teacher(self, rows: Labelled, seed: int) -> Predict:
        """Train the weak teacher on few labelled rows; returns rows -> (n,) P(y = 1). It sees `inputs` only."""

    def encode(self, inputs: NDArray[Any], student: int, *, untrained: bool = False) -> Encoded:
        """Features of a student (pretraining seed `student`, or its untrained twin) for (n, S, ...) inputs."""

    def pretrain(self, seed: int, progress: Callable[[float], None] | None = None) -> None:
        """Train the student from the seed and write its weights where `encode` finds them."""
