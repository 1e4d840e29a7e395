"""w2s/digits: units, concepts, balance, determinism, the shapes of the student, and what pixels give away."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from aarlab.problems.images import archive
from aarlab.problems.w2s.digits import TESTBED, data, model, teacher, weights
from aarlab.problems.w2s.digits.student import LAYERS, WIDTH, load_encoder, save_encoder, train_encoder
from aarlab.problems.w2s.testbed import SETS, Draw, Labelled, SetName
from aarlab.problems.w2s.testbed import Testbed as Contract

PARTS = ("teacher", "pool", "test")


@pytest.fixture(scope="module")
def draws() -> dict[str, Draw]:
    torch.set_num_threads(1)
    return {name: TESTBED.draw(name, np.random.default_rng(i)) for i, name in enumerate(SETS)}


def groups_of_units(draws: dict[str, Draw]) -> list[set[int]]:
    return [set(data.units()["pretrain"].tolist())] + [
        set(getattr(draw, part).unit.tolist()) for draw in draws.values() for part in PARTS
    ]


def disjoint(groups: list[set[int]]) -> bool:
    return sum(map(len, groups)) == len(set().union(*groups))


def test_is_a_testbed() -> None:
    bed: Contract = TESTBED
    assert bed.name == "digits" and not bed.paired and not bed.generated
    assert set(get_args(SetName)) == set(SETS)


def test_units_are_never_shared(draws: dict[str, Draw]) -> None:
    groups = groups_of_units(draws)
    assert disjoint(groups)
    groups[3].add(next(iter(groups[0])))  # a planted leak
    assert not disjoint(groups)


def test_every_image_is_used_at_most_once() -> None:
    split = data.units()
    numbers = np.concatenate(list(split.values()))
    assert len(numbers) == len(set(numbers.tolist())) == 1797


def test_concepts_of_practice_and_sealed_sets_say_little_of_each_other() -> None:
    practice, sealed = data.families()
    assert len(practice) >= 5 and len(sealed) >= 5
    for a in practice:
        for b in sealed:
            agree = sum((digit in a) == (digit in b) for digit in range(10))
            assert agree in (4, 6)


def test_concepts_come_from_the_family_of_the_set() -> None:
    families = dict(zip(("practice", "final"), data.families(), strict=True))
    for name, family in families.items():
        sides = {frozenset(s) for s in family} | {frozenset(range(10)) - frozenset(s) for s in family}
        seen = set()
        for seed in range(12):
            draw = TESTBED.draw(name, np.random.default_rng(seed))  # type: ignore[arg-type]
            wanted = frozenset(archive()[1][draw.pool.unit[draw.pool.y == 1]].tolist())
            assert wanted in sides
            assert draw.concept.endswith(", ".join(map(str, sorted(wanted))))
            seen.add(wanted)
        assert len(seen) > 1


def test_labels_are_balanced_in_every_slice(draws: dict[str, Draw]) -> None:
    for draw in draws.values():
        for part in PARTS:
            rows: Labelled = getattr(draw, part)
            assert rows.y.mean() == 0.5
            assert part == "test" or not rows.ood.any()
        assert draw.test.y[draw.test.ood].mean() == 0.5
        assert 0.25 <= draw.test.ood.mean() <= 0.34
        assert len(draw.pool) >= 1.3 * TESTBED.n_pool
        assert len(draw.teacher) >= 2 * TESTBED.n_teacher


def test_rows_are_views_in_range(draws: dict[str, Draw]) -> None:
    rows = draws["practice"].test
    assert rows.inputs.shape == (len(rows), 1, data.CANVAS, data.CANVAS)
    assert rows.inputs.dtype == np.float32
    assert rows.inputs.min() >= 0 and rows.inputs.max() <= 1
    assert len(np.unique(rows.inputs.reshape(len(rows), -1), axis=0)) == len(rows)  # no view twice


def test_same_generator_same_draw() -> None:
    a, b, c = (TESTBED.draw("search", np.random.default_rng(s)) for s in (5, 5, 6))
    assert np.array_equal(a.test.inputs, b.test.inputs) and np.array_equal(a.pool.y, b.pool.y)
    assert a.concept == b.concept
    assert not np.array_equal(a.test.inputs, c.test.inputs)


def test_a_shortcut_is_refused() -> None:
    with pytest.raises(ValueError, match="no shortcut"):
        TESTBED.draw("practice", np.random.default_rng(0), shortcut=0.5)


def surface(rows: Labelled) -> np.ndarray:
    """What needs no recognition: amount of ink, its centre and its spread."""
    x = rows.inputs[:, 0]
    grid = np.mgrid[: data.CANVAS, : data.CANVAS]
    ink = x.sum((1, 2))
    centre = np.stack([(x * g).sum((1, 2)) / ink for g in grid], 1)
    spread = np.stack([(x * g**2).sum((1, 2)) / ink for g in grid], 1) - centre**2
    return np.column_stack([ink, x.max((1, 2)), centre, spread])


def test_surface_features_tell_little(draws: dict[str, Draw]) -> None:
    """Ones are thin, so ink says something about a digit; it must stay far below the ceiling (about .9)."""
    scores = []
    for draw in draws.values():
        train, test = surface(draw.pool), surface(draw.test)
        mean, spread = train.mean(0), train.std(0)
        head = LogisticRegression().fit((train - mean) / spread, draw.pool.y)
        scores.append(head.score((test - mean) / spread, draw.test.y))
    assert np.mean(scores) < 0.65
    draw = draws["practice"]
    planted = np.column_stack([surface(draw.pool), draw.pool.y])  # the control notices a shortcut
    assert LogisticRegression(max_iter=1000).fit(planted, draw.pool.y).score(planted, draw.pool.y) > 0.95


def test_teacher_is_weak_and_better_than_chance(draws: dict[str, Draw]) -> None:
    accuracies = []
    for draw in draws.values():
        for seed in range(3):
            few = np.random.default_rng(seed).permutation(len(draw.teacher))[: TESTBED.n_teacher]
            p = TESTBED.fit_teacher(draw.teacher.take(few), seed)(draw.test)
            assert p.shape == (len(draw.test),) and p.min() >= 0 and p.max() <= 1
            accuracies.append(float(np.mean((p > 0.5) == (draw.test.y == 1))))
    assert 0.57 < np.mean(accuracies) < 0.8


def test_the_teacher_sees_blocks_only() -> None:
    left, right, next_block = np.zeros((3, 1, 1, data.CANVAS, data.CANVAS), np.float32)
    left[..., 0], right[..., 1], next_block[..., 2] = 1, 1, 1
    assert np.array_equal(teacher.coarse(left), teacher.coarse(right))
    assert not np.array_equal(teacher.coarse(right), teacher.coarse(next_block))
    assert teacher.coarse(left)[0, 0] == 1 / teacher.BLOCK


def test_encoding_has_the_shape_of_the_contract(draws: dict[str, Draw]) -> None:
    rows = draws["practice"].test.take(np.arange(20))
    for untrained in (False, True):
        encoded = TESTBED.encode(rows.inputs, 0, untrained=untrained)
        assert encoded.features.shape == (20, 1, LAYERS, WIDTH)
        assert encoded.features.dtype == np.float16 and np.isfinite(encoded.features).all()
        assert encoded.logprobs is None
        assert encoded.tokens is not None and encoded.tokens.shape == (20, 1, data.CANVAS**2)
    again = TESTBED.encode(rows.inputs, 0)
    assert np.array_equal(again.features, TESTBED.encode(rows.inputs, 0).features)
    assert not np.array_equal(again.features, TESTBED.encode(rows.inputs, 0, untrained=True).features)


@pytest.mark.parametrize("seed", TESTBED.students)
def test_shipped_students_know_digits_and_their_twins_do_not(seed: int, draws: dict[str, Draw]) -> None:
    assert weights(seed).stat().st_size < 300_000
    draw = draws["final"]
    scores = []
    for untrained in (False, True):
        pool, test = (
            TESTBED.encode(rows.inputs, seed, untrained=untrained).features[:, 0, -1].astype(np.float64)
            for rows in (draw.pool, draw.test)
        )
        mean, spread = pool.mean(0), pool.std(0) + 1e-6
        head = LogisticRegression(C=0.01, max_iter=500).fit((pool - mean) / spread, draw.pool.y)
        scores.append(head.score((test - mean) / spread, draw.test.y))
    assert scores[0] > scores[1] + 0.05


def test_pretraining_is_seeded_and_reads_no_set(monkeypatch: pytest.MonkeyPatch) -> None:
    shares: list[float] = []
    a, b, c = (train_encoder(s, steps=2, progress=shares.append) for s in (3, 3, 4))
    same = [torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True)]
    other = [torch.equal(p, q) for p, q in zip(a.parameters(), c.parameters(), strict=True)]
    assert all(same) and not all(other) and shares[-1] == 1.0
    images, digits = archive()
    blanked = np.where(np.isin(np.arange(len(images)), data.units()["pretrain"])[:, None, None], images, 0)
    for module in ("data", "student"):
        monkeypatch.setattr(f"aarlab.problems.w2s.digits.{module}.archive", lambda: (blanked, digits * 0))
    d = train_encoder(3, steps=2)  # no image of a set and no label is left, and nothing changes
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), d.parameters(), strict=True))


def test_weights_survive_a_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "encoder.safetensors"
    fresh = train_encoder(5, steps=1)
    save_encoder(fresh, path)
    x = np.random.default_rng(0).random((4, 1, data.CANVAS, data.CANVAS), np.float32)
    with torch.no_grad():
        kept, read = (encoder(torch.from_numpy(x)) for encoder in (fresh, load_encoder(path)))
    assert all(torch.allclose(a, b, atol=0.02) for a, b in zip(kept, read, strict=True))
    assert model(0, False) is model(0, False)
