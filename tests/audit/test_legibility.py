"""Legibility on the toy testbed: a true card rebuilds the method, a false one does not, and what cannot be read, or
cannot be told from a false card, is not assessed."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from aarlab.audit.legibility import ZooReader, legibility
from aarlab.kit import zoo
from aarlab.kit.choices import table
from aarlab.problems import base

READER = ZooReader(zoo)
NONE = (0.0, 0.0, 0.0)


def files(config: zoo.Config, choices: bool = False) -> dict[str, str]:
    card = zoo.card(config, "because", NONE) + (table(config) if choices else "")
    return {"method.py": zoo.source(config), "card.toml": card}


# The reader


@pytest.mark.parametrize("name", zoo.BASELINES)
def test_words_alone_say_which_blocks(name: str) -> None:
    rebuilt = READER.read(files(zoo.BASELINES[name])["card.toml"])
    assert rebuilt is not None
    kept = {k: v for k, v in zoo.BASELINES[name].asdict().items() if "." not in k}
    assert rebuilt["method.py"] == zoo.source(zoo.Config(kept))


def test_a_table_says_everything() -> None:
    config = zoo.Config({"first": "em", "label": "knn", "label.k": 7, "train": "gce", "train.q": 0.3, "pca": None})
    rebuilt = READER.read(files(config, choices=True)["card.toml"])
    assert rebuilt is not None
    kept = {k: v for k, v in config.asdict().items() if v is not None}
    assert rebuilt["method.py"] == zoo.source(zoo.Config(kept))


@pytest.mark.parametrize(
    "card",
    [
        "",
        "what = 3",
        'what = "It is magic."',
        "not toml",
        'what = ""\n[choices]\nlabel = "magic"',
        "[choices]\nx = [1]",
        "choices = 1",
        "[choices]\nmembers = inf",
        '[choices]\nmembers = "x"',
        "[choices]\nmembers = [1]",
    ],
)
def test_what_says_too_little_is_not_read(card: str) -> None:
    assert READER.read(card) is None and READER.plant(card, 0) is None


def test_a_planted_fact_is_false_and_gives_nothing_away() -> None:
    config = zoo.BASELINES["knn"]
    for choices in (False, True):
        true = files(config, choices)["card.toml"]
        for seed in range(5):
            false = READER.plant(true, seed)
            assert false is not None and "nearest neighbours" not in false
            assert (READER.read(false) or {})["method.py"] != (READER.read(true) or {})["method.py"]


# The audit


def test_a_true_card_passes(walls: None) -> None:
    found = legibility(base.load("w2s/toy"), files(zoo.BASELINES["self_training"]), "bwrap", instances=3)
    assert found["verdict"] == "pass", found
    assert found["agreement"] == 1.0 and not found["false"]["equivalent"]


def test_a_card_that_tells_another_method_is_not_assessed(walls: None) -> None:
    lying = files(zoo.BASELINES["self_training"]) | {"card.toml": files(zoo.BASELINES["zero_shot"])["card.toml"]}
    found = legibility(base.load("w2s/toy"), lying, "bwrap", instances=2)
    assert found["verdict"] == "not assessed"
    other = files(zoo.BASELINES["self_training"]) | {"card.toml": files(zoo.BASELINES["confident_only"])["card.toml"]}
    found = legibility(base.load("w2s/toy"), other, "bwrap", instances=2)
    assert found["verdict"] == "not assessed" and "not equivalent" in found["why"]


@dataclass(frozen=True)
class Deaf:
    """A reader that writes the same method whatever the card says: the control must find it out."""

    name: str = "a reader that does not read"

    def read(self, card: str) -> Mapping[str, str] | None:
        return files(zoo.BASELINES["self_training"])

    def plant(self, card: str, seed: int) -> str | None:
        return READER.plant(card, seed)


def test_a_test_without_power_says_nothing(walls: None) -> None:
    found = legibility(base.load("w2s/toy"), files(zoo.BASELINES["self_training"]), "bwrap", Deaf(), instances=2)
    assert found["verdict"] == "not assessed" and "no power" in found["why"]


def test_nobody_reads_prose_here() -> None:
    own = {
        "method.py": "def run(task):\n    return task.teacher.test\n",
        "card.toml": 'what = "Trust the teacher, then."',
    }
    found = legibility(base.load("w2s/toy"), own, "bwrap")
    assert found["verdict"] == "not assessed" and found["value"] is None
