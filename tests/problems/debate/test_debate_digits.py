"""Digits: units are split for good, concepts differ, judges see what is shown."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from aarlab.problems.debate import load
from aarlab.problems.debate.digits import TESTBEDS, data, judge
from aarlab.problems.draws import SETS
from aarlab.problems.images import archive


def test_units_are_split_once_and_sets_are_alike() -> None:
    parts = data.units()
    every = np.concatenate(list(parts.values()))
    assert len(every) == len(set(every)) == 1797
    digits = archive()[1]
    for name in SETS:
        assert np.array_equal(np.bincount(digits[parts[name]]), np.full(10, data.PER_DIGIT))


def test_concepts_of_practice_and_of_sealed_sets_differ() -> None:
    images, digits = archive()
    plain = data.draw("practice", np.random.default_rng(0)).cases
    assert np.array_equal(plain.shown["inputs"], images[plain.unit])
    assert np.array_equal(plain.y, digits[plain.unit])
    for seed in range(5):
        sealed = data.draw("final", np.random.default_rng(seed)).cases
        assert not np.array_equal(sealed.shown["inputs"], images[sealed.unit])
        named = {(int(d), int(y)) for d, y in zip(digits[sealed.unit], sealed.y, strict=True)}
        assert len(named) == 10  # a renaming, one to one
        assert np.allclose(np.sort(sealed.values, 1), np.sort(images[sealed.unit].reshape(-1, 64), 1))
        assert np.array_equal(sealed.legal, sealed.values > 0)


def test_the_eight_symmetries_are_different() -> None:
    image = np.arange(64, dtype="f4").reshape(1, 8, 8)
    assert len({data.turned(image, s).tobytes() for s in range(8)}) == 8
    assert np.array_equal(data.turned(image, 0), image)


def test_a_judge_sees_shown_pixels_alone() -> None:
    draw = data.draw("practice", np.random.default_rng(0))
    cases, n = draw.cases, len(draw.cases)
    gen = torch.Generator().manual_seed(0)
    trained = judge.train(draw, judge.start(2, 4, gen), 300, lambda legal, g: judge.some(legal, 4, g), 1.0, gen)
    shown = np.where(cases.legal, np.random.default_rng(0).random(cases.legal.shape), -1).argsort(1)[:, -4:]
    mask = np.zeros((n, 64), "f4")
    np.put_along_axis(mask, shown, 1, 1)
    hidden = replace(cases, values=np.where(mask == 1, cases.values, 0.77).astype("f4"))
    said = [judge.handle(judge.one(trained, 0), c).logits(np.arange(n), shown) for c in (cases, hidden)]
    assert np.array_equal(*said)
    plain = judge.forward(trained, torch.tensor(np.concatenate([cases.values * mask, mask], 1)).expand(2, -1, -1))
    assert np.allclose(said[0], plain[0], atol=1e-4)
    assert not np.allclose(said[0], plain[1], atol=0.1)  # the two were trained apart
    assert (said[0].argmax(1) == cases.y).mean() > 0.2  # 300 steps of 3,000, and chance is .1


def test_judges_are_fitted_side_by_side_and_repeatably(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "STEPS", 20)
    monkeypatch.setattr(judge, "WHOLE_STEPS", 200)
    bed = TESTBEDS["digits"]
    draw = bed.draw("practice", np.random.default_rng(0))
    parts = [draw.cases.take(np.arange(30)), draw.cases]
    first, again = (bed.fit(draw, parts, [1, 2]) for _ in range(2))
    assert [len(f.judge.parts) for f in first] == [30, 250]
    assert all(np.array_equal(a.judge.parts, b.judge.parts) for a, b in zip(first, again, strict=True))
    assert (first[1].whole.argmax(1) == draw.cases.y).mean() > 0.75
    assert not np.array_equal(first[0].judge.parts, first[0].untrained.parts)


def test_the_testbeds_open_by_name(tmp_path: Path) -> None:
    for name, k in (("debate/digits", 4), ("debate/digits-6", 6)):
        problem = load(name, tmp_path)
        assert problem.name == name and problem.traits["k"] == k
        assert problem.name not in problem.transfers and len(problem.directions) == 9
    assert load("debate/digits").fingerprint == load("debate/digits-6").fingerprint
