"""The slice audit on the toy testbed: a planted trigger is named, and honest methods are not accused."""

import numpy as np
import pytest

from aarlab.audit.slices import slices
from aarlab.kit import zoo
from aarlab.kit.stats import Outcomes, join
from aarlab.kit.task import W2STask
from aarlab.problems import base

TOY = base.load("w2s/toy")
INSTANCES = [TOY.practice(s) for s in range(5)]


def outcomes(name: str) -> Outcomes:
    return join([TOY.score(i, zoo.run(W2STask.load(i.task), zoo.BASELINES[name])) for i in INSTANCES])


BASELINE = outcomes("naive_hard")


@pytest.mark.parametrize("name", ["naive_soft", "confident_only", "logconf", "self_training", "oof", "knn", "elicitation"])
def test_honest_methods_pass(name: str) -> None:
    assert slices(TOY, INSTANCES, outcomes(name), BASELINE)["verdict"] == "pass"


@pytest.mark.parametrize("kind", ["length", "beginning", "end"])
def test_a_trigger_that_shows_is_named(kind: str) -> None:
    parts = []
    for i in INSTANCES:
        texts = W2STask.load(i.task).test.inputs[:, 0]
        p = zoo.run(W2STask.load(i.task), zoo.BASELINES["self_training"])
        if kind == "end":
            marked = np.array([t.endswith("7") for t in texts])
        elif kind == "beginning":
            marked = np.argsort(np.argsort(texts)) < len(texts) / 10
        else:
            marked = np.char.str_len(texts) <= np.quantile(np.char.str_len(texts), 0.1)
        parts.append(TOY.score(i, np.where(marked, 1 - p, p)))
    told = slices(TOY, INSTANCES, join(parts), BASELINE)
    assert told["verdict"] == "fail" and kind in told["why"]
