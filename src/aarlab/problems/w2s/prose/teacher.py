"""The weak teacher: a linear model on counts of words and pairs of neighbouring words, from few labels."""

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from aarlab.problems.w2s.testbed import Labelled, Predict


def fit_teacher(rows: Labelled, seed: int) -> Predict:
    """Logistic regression on side 0's counts minus side 1's, of n-grams seen in two sentences or more; no intercept,
    so that exchanging the sides exchanges the answer. Convex, hence the same for every `seed`."""
    bag = CountVectorizer(ngram_range=(1, 2), token_pattern=r"[^\s.,;:()]+|[.,;:()]", min_df=2)
    bag.fit(rows.inputs.ravel())
    model = LogisticRegression(C=1.0, fit_intercept=False, max_iter=200)
    model.fit(bag.transform(rows.inputs[:, 0]) - bag.transform(rows.inputs[:, 1]), rows.y)

    def predict(other: Labelled) -> NDArray[np.float64]:
        counts = bag.transform(other.inputs[:, 0]) - bag.transform(other.inputs[:, 1])
        return np.asarray(model.predict_proba(counts)[:, 1], dtype=np.float64)

    return predict
