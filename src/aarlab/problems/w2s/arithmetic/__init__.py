"""w2s/arithmetic: is the claimed result of a sum right? The student has read homework, right, wrong and marked."""

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from aarlab.problems.w2s.arithmetic import data
from aarlab.problems.w2s.arithmetic import student as students
from aarlab.problems.w2s.testbed import Draw, Encoded, Labelled, Predict, SetName


def teacher_view(inputs: NDArray[Any]) -> NDArray[np.float64]:
    """What the teacher sees of (n, 1) rows: whether the last column adds up, the nine lower digits one by one
    (one of ten each), and whether a full stop follows. It cannot carry, cannot add the other columns, and does not look
    at who wrote the sum."""
    _, a, b, claim, marked = data.read(inputs)
    adds_up = np.where((a[:, 0] + b[:, 0]) % 10 == claim[:, 0], 1.0, -1.0)
    digits = np.concatenate([a[:, :3], b[:, :3], claim[:, :3]], axis=1)
    one_of_ten = (digits[:, :, None] == np.arange(10)).reshape(len(a), -1) * 3.0
    return np.concatenate([adds_up[:, None], np.where(marked, 3.0, 0.0)[:, None], one_of_ten], axis=1)


class Arithmetic:
    """The testbed. Every draw is fresh; a row is one sum, its own unit."""

    name = "arithmetic"
    question = "Is the claimed result of the sum right?"
    paired = False
    generated = True
    n_teacher = 100
    n_pool = 2500
    pool: Literal["mean", "last"] | None = "mean"
    students = (0, 2)  # seed 1 had not learned to check sums after the same number of steps

    def draw(self, set_name: SetName, rng: np.random.Generator, shortcut: float = 0.0) -> Draw:
        return data.draw(set_name, rng, shortcut)

    def scramble(self, inputs: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
        return data.scramble(inputs, rng)

    def unmarked(self, inputs: NDArray[Any]) -> NDArray[Any]:
        return data.unmarked(inputs)

    def fit_teacher(self, rows: Labelled, seed: int) -> Predict:
        """A ridge logistic regression on `teacher_view`; nothing in it is random, so `seed` is not used."""
        model = LogisticRegression(C=0.3, max_iter=500).fit(teacher_view(rows.inputs), rows.y)

        def predict(others: Labelled) -> NDArray[np.float64]:
            return np.asarray(model.predict_proba(teacher_view(others.inputs))[:, 1], np.float64)

        return predict

    def encode(self, inputs: NDArray[Any], student: int, *, untrained: bool = False) -> Encoded:
        return students.encode(inputs, student, untrained)

    def pretrain(self, seed: int, progress: Callable[[float], None] | None = None) -> None:
        students.pretrain(seed, progress)


TESTBED = Arithmetic()
