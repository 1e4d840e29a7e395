"""w2s/digits: is the digit in this picture one of a set of five? See README.md beside this file."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from aarlab.problems.w2s.digits import data, teacher
from aarlab.problems.w2s.digits.student import (
    TWIN,
    Encoder,
    encode,
    load_encoder,
    new_encoder,
    save_encoder,
    train_encoder,
)
from aarlab.problems.w2s.testbed import Draw, Encoded, Labelled, Predict, SetName

WEIGHTS = Path(__file__).parents[1] / "weights"


def weights(seed: int) -> Path:
    """Where the student of a pretraining seed is kept."""
    return WEIGHTS / f"digits-{seed}.safetensors"


@lru_cache(maxsize=8)
def model(seed: int, untrained: bool) -> Encoder:
    """The student of a seed or its untrained twin. Raises FileNotFoundError if it was never pretrained."""
    return new_encoder(seed + TWIN) if untrained else load_encoder(weights(seed))


class Digits:
    """The testbed; satisfies `aarlab.problems.w2s.testbed.Testbed`."""

    name = "digits"
    question = "Is the digit in the picture one of a set of five digits?"
    paired = False
    generated = False
    n_teacher = 200
    n_pool = 900
    pool: Literal["mean", "last"] | None = None
    students: tuple[int, ...] = (0, 1, 2)

    def draw(self, set_name: SetName, rng: np.random.Generator, shortcut: float = 0.0) -> Draw:
        """Draw a set. Images hold no shortcut to plant: raises ValueError unless `shortcut` is 0."""
        if shortcut:
            raise ValueError(f"w2s/digits plants no shortcut: leave shortcut at 0, not {shortcut}")
        return data.draw(set_name, rng)

    def scramble(self, inputs: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        raise ValueError("w2s/digits plants no shortcut: its images have no surface mark")

    def unmarked(self, inputs: NDArray[Any]) -> NDArray[Any]:
        return inputs

    def fit_teacher(self, rows: Labelled, seed: int) -> Predict:
        return teacher.fit(rows, seed)

    def encode(self, inputs: NDArray[Any], student: int, *, untrained: bool = False) -> Encoded:
        return encode(model(student, untrained), inputs)

    def pretrain(self, seed: int, progress: Callable[[float], None] | None = None) -> None:
        """Train a student from the seed (about 40 s on one core) and write its weights."""
        save_encoder(train_encoder(seed, progress=progress), weights(seed))
        model.cache_clear()


TESTBED = Digits()
