"""Can the answer be told without the passage? Tests of what a judge could know before anything is said.

Each is an accuracy among four choices, .25 by chance, on passages that nothing was fitted on.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from aarlab.problems.debate.reading.passages import Case, Theme, cases

Scorer = Callable[[Case, int], float]


def shortcuts(theme: Theme, rng: np.random.Generator, n: int = 2000) -> dict[str, float]:
    """Accuracy of guesses that see question and choices only, and of known shortcuts that see the passage."""
    train, test = cases(theme, n, rng), cases(theme, n, rng)
    found = {
        "bag of words on question and choice": bag_of_words(train, test),
        "most frequent answer": accuracy(test, _frequency(train)),
        "longest answer": accuracy(test, lambda c, a: len(c.answers[a])),
        "choice most like the others": accuracy(test, _likeness),
        "shares words with the question": accuracy(test, lambda c, a: len(_w(c.question) & _w(c.answers[a]))),
        "first choice": accuracy(test, lambda c, a: -a),
    }
    found |= {
        "passage: most often named": accuracy(test, lambda c, a: sum(c.answers[a] in s for s in c.sentences)),
        "passage: named last": accuracy(test, partial(_place, last=True)),
        "passage: named first": accuracy(test, partial(_place, last=False)),
        "passage: named beside the question's words": accuracy(test, _beside),
        "passage: in the longest sentence": accuracy(
            test, lambda c, a: max((len(s) for s in c.sentences if c.answers[a] in s), default=0)
        ),
    }
    return found


def bag_of_words(train: Sequence[Case], test: Sequence[Case]) -> float:
    """Logistic regression on the words of question and choice, and on pairs of one of each."""
    pairs = [(c, a) for c in train for a in range(len(c.answers))]
    bag = CountVectorizer(binary=True, min_df=3, token_pattern=r"\S+")
    x = bag.fit_transform([_crossed(c, a) for c, a in pairs])
    model = LogisticRegression(C=0.1, max_iter=300).fit(x, [c.truth == a for c, a in pairs])
    scores = model.decision_function(bag.transform([_crossed(c, a) for c in test for a in range(len(c.answers))]))
    return _accuracy(test, scores.reshape(len(test), -1))


def accuracy(rows: Sequence[Case], score: Scorer) -> float:
    """How often the choice with the highest score is right; a tie counts by its share."""
    return _accuracy(rows, np.array([[score(c, a) for a in range(len(c.answers))] for c in rows], np.float64))


def _accuracy(rows: Sequence[Case], scores: NDArray[np.float64]) -> float:
    best = scores >= scores.max(1, keepdims=True) - 1e-12
    truth = np.array([c.truth for c in rows])
    return float((best[np.arange(len(rows)), truth] / best.sum(1)).mean())


def _w(text: str) -> set[str]:
    return set(text.lower().strip("?.").replace(",", "").split())


def _crossed(c: Case, a: int) -> str:
    ask, answer = sorted(_w(c.question)), sorted(_w(c.answers[a]))
    return " ".join([*ask, *(f"a:{w}" for w in answer), *(f"{q}x{w}" for q in ask for w in answer)])


def _frequency(train: Sequence[Case]) -> Scorer:
    counts: dict[str, list[int]] = {}
    for c in train:
        for a, text in enumerate(c.answers):
            seen = counts.setdefault(text, [0, 0])
            seen[0] += a == c.truth
            seen[1] += 1

    def score(c: Case, a: int) -> float:
        right, shown = counts.get(c.answers[a], (0, 0))
        return (right + 1) / (shown + 4)

    return score


def _likeness(c: Case, a: int) -> float:
    return sum(len(_w(c.answers[a]) & _w(other)) for i, other in enumerate(c.answers) if i != a)


def _place(c: Case, a: int, *, last: bool) -> float:
    at = [i for i, s in enumerate(c.sentences) if c.answers[a] in s]
    return (max(at) if last else -min(at)) if at else -99


def _beside(c: Case, a: int) -> float:
    """Most words that a sentence which names the choice shares with the question."""
    return max((len(_w(s) & _w(c.question)) for s in c.sentences if c.answers[a] in s), default=0)
