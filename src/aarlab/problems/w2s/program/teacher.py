"""The weak teacher: it looks steps up in what it has seen labelled, and looks at the last two steps only."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from aarlab.problems.w2s.program import data
from aarlab.problems.w2s.testbed import Labelled, Predict

SEEN = 2  # steps, counted from the end of the run


def steps(rows: Labelled) -> csr_matrix:
    """(n, 24 * 100) which whole steps (opcode, digit before, digit after) are among the last SEEN of each row."""
    tokens = data.tokenise(rows.inputs[:, 0])
    n = len(tokens)
    signed = (tokens == data.NUMBER[data.SIGNED]).argmax(1)
    columns = []
    for k in range(SEEN):
        at = signed - 1 - 3 * k  # the digit after; its opcode is one, the digit before three tokens earlier
        after, op, before = (tokens[np.arange(n), at - back] for back in (0, 1, 3))
        zero, first = data.NUMBER["0"], data.NUMBER[data.LETTERS[0]]
        columns.append((op - first) * 100 + (before - zero) * 10 + after - zero)
    index = np.stack(columns, 1).ravel()
    ones = np.ones(n * SEEN, np.float32)
    shape = (n, len(data.LETTERS) * 100)
    return csr_matrix((ones, (np.repeat(np.arange(n), SEEN), index)), shape=shape)


def fit_teacher(rows: Labelled, seed: int) -> Predict:
    """A logistic regression on a bag of the last steps; `seed` orders nothing, since the fit has one optimum."""
    del seed
    model = LogisticRegression(C=1.0, max_iter=200).fit(steps(rows), rows.y)

    def predict(other: Labelled) -> NDArray[np.float64]:
        return np.asarray(model.predict_proba(steps(other))[:, 1], np.float64)

    return predict
