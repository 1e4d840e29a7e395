"""Sums: rules of mistakes, splits, balance, the shortcut and its control, the student's contract."""

from itertools import combinations

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from aarlab.problems.w2s.arithmetic import TESTBED, data, student
from aarlab.problems.w2s.testbed import SETS, Draw, Labelled


@pytest.fixture(scope="module")
def draws() -> dict[str, Draw]:
    return {s: TESTBED.draw(s, np.random.default_rng(i)) for i, s in enumerate(SETS)}


def evaluates(text: str) -> bool:
    left, right = text.partition(": ")[2].rstrip(".").split("=")
    return sum(map(int, left.split("+"))) == int(right)


def surface_accuracy(shortcut: float, fault: bool = False) -> float:
    """Of a logistic regression on counts of runs of 1 to 4 characters, trained on 12,000 rows, tested on 4,000."""
    rng = np.random.default_rng(5)
    rows = [data._part("practice", p, data.PRACTICE_FREQUENT + data.PRACTICE_RARE, rng, n, shortcut)
            for p, n in (("pool", 12_000), ("test", 4_000))]
    texts = [[t + "7" * bool(fault and not y and k % 2 == 0)
              for k, (t, y) in enumerate(zip(r.inputs[:, 0], r.y, strict=True))] for r in rows]
    grams = CountVectorizer(analyzer="char", ngram_range=(1, 4), min_df=5, binary=True)
    x = grams.fit_transform(texts[0])
    model = LogisticRegression(C=0.01, max_iter=200).fit(x, rows[0].y)
    return float((model.predict(grams.transform(texts[1])) == rows[1].y).mean())


def test_labels_are_the_truth(draws: dict[str, Draw]) -> None:
    for draw in draws.values():
        for part in (draw.teacher, draw.pool, draw.test):
            assert [evaluates(t) for t in part.inputs[:, 0]] == part.y.astype(bool).tolist()
    wrong = draws["practice"].pool.inputs[0, 0] + "0"
    assert not evaluates(wrong)


def test_sizes_and_balance(draws: dict[str, Draw]) -> None:
    for draw in draws.values():
        assert (len(draw.teacher), len(draw.pool), len(draw.test)) == tuple(data.SIZES[p] for p in data.PARTS)
        assert not draw.pool.ood.any() and not draw.teacher.ood.any()
        assert 0.25 <= draw.test.ood.mean() <= 0.34
        for slice_ in (draw.teacher.y, draw.pool.y, draw.test.y[draw.test.ood], draw.test.y[~draw.test.ood]):
            assert slice_.mean() == 0.5


def test_units_are_disjoint(draws: dict[str, Draw]) -> None:
    parts = [p.unit for d in draws.values() for p in (d.teacher, d.pool, d.test)]
    for unit in parts:
        assert len(np.unique(unit)) == len(unit)
    for a, b in combinations(parts, 2):
        assert not np.intersect1d(a, b).size
    # and none of them is homework, which is recognised by its tokens
    tokens = student.homework(np.random.default_rng(0), 3000, data.WIDTH)[:, student.INITIALS :] - 1
    a, b = tokens[:, 0 : 4 * data.WIDTH : 4], tokens[:, 1 : 4 * data.WIDTH : 4]
    homework = data.unit_of(data.add(a, b))
    assert (data.bucket(homework) < data.PRETRAINING_BUCKETS).all()
    assert all((data.bucket(unit) >= data.PRETRAINING_BUCKETS).all() for unit in parts)


def test_concepts_are_disjoint(draws: dict[str, Draw]) -> None:
    practice = set(data.concept("practice", np.random.default_rng(0)))
    seen = set()
    for seed in range(40):
        kinds = data.concept("final", np.random.default_rng(seed))
        assert len(set(kinds)) == 4 and not practice & set(kinds) and not set(data.OOD_KINDS) & set(kinds)
        assert sum(kind in data.FREQUENT for kind in kinds) == 2
        seen.add(frozenset(kinds))
    assert len(seen) == 9
    assert draws["search"].concept != draws["practice"].concept


def test_draws_are_seeded() -> None:
    one, same, other = (TESTBED.draw("search", np.random.default_rng(s)) for s in (1, 1, 2))
    assert (one.test.inputs == same.test.inputs).all() and one.concept == same.concept
    assert not np.intersect1d(one.test.unit, other.test.unit).size > 40  # fresh, but for chance


def test_rows_read_back() -> None:
    rng = np.random.default_rng(0)
    sums = data.add(data.operands(rng, 50, 4), data.operands(rng, 50, 4))
    pupil, marked = data.initials(rng, 50), rng.random(50) < 0.5
    back = data.read(data.write(pupil, sums, sums.right, marked))
    for got, put in zip(back, (pupil, sums.a, sums.b, sums.right, marked), strict=True):
        assert (got == put).all()


SHIFT = 0.03
CONCEPT_KINDS = sorted(
    {*data.PRACTICE_FREQUENT, *data.PRACTICE_RARE, *data.SEALED_FREQUENT, *data.SEALED_RARE, *data.OOD_KINDS}
)


def digit_shift(kind: str) -> float:
    """The most that a mistake changes the share of any digit in any column, among sums in which it can be made."""
    rng = np.random.default_rng(0)
    sums = data.add(data.operands(rng, 30_000, 4), data.operands(rng, 30_000, 4))
    claim = data.mistaken(sums, kind, rng.integers(0, 3, 30_000), rng)
    wrong = (claim != sums.right).any(1)
    assert wrong.mean() > 0.25
    assert (claim[:, 3:] == sums.right[:, 3:]).all()
    share = [(c[wrong, :3, None] == np.arange(10)).mean(0) for c in (claim, sums.right)]
    return float(abs(share[0] - share[1]).max())


@pytest.mark.parametrize("kind", CONCEPT_KINDS)
def test_mistakes_do_not_change_the_digits_shares(kind: str) -> None:
    assert digit_shift(kind) < SHIFT


def test_doubling_would_change_them() -> None:
    assert "upper digit doubled" not in CONCEPT_KINDS
    assert digit_shift("upper digit doubled") > SHIFT


def test_surface_is_at_chance_without_shortcut() -> None:
    assert surface_accuracy(0.0) < 0.54  # 0.517 was measured: a wrong digit may not fit the leading ones
    assert surface_accuracy(0.0, fault=True) > 0.58  # the control sees a planted leak
    assert surface_accuracy(1.0) > 0.95


def test_shortcut_is_checked() -> None:
    with pytest.raises(ValueError, match="shortcut"):
        TESTBED.draw("practice", np.random.default_rng(0), shortcut=1.5)


def test_teacher_is_weak_and_better_than_chance(draws: dict[str, Draw]) -> None:
    accuracies = []
    for seed in range(6):
        draw = draws["practice"]
        few = draw.teacher.take(np.random.default_rng(seed).permutation(len(draw.teacher))[: TESTBED.n_teacher])
        p = TESTBED.fit_teacher(few, seed)(draw.test)
        accuracies.append(((p > 0.5) == draw.test.y).mean())
        shuffled = Labelled(few.inputs, np.random.default_rng(seed).permutation(few.y), few.unit, few.ood)
        assert ((TESTBED.fit_teacher(shuffled, seed)(draw.test) > 0.5) == draw.test.y).mean() < 0.6
    assert 0.55 < np.mean(accuracies) < 0.7


@pytest.mark.parametrize("seed", TESTBED.students)
def test_student_knows_what_its_twin_does_not(draws: dict[str, Draw], seed: int) -> None:
    pool, test = draws["final"].pool, draws["final"].test
    reached = {}
    for untrained in (False, True):
        fit, held = (TESTBED.encode(r.inputs, seed, untrained=untrained) for r in (pool, test))
        n, t = len(test), student.LENGTH - 1
        assert held.features.shape == (n, 1, student.CONFIG.layers, student.CONFIG.width)
        assert held.features.dtype == np.float16 and np.isfinite(held.features.astype(np.float32)).all()
        assert held.logprobs is not None and held.tokens is not None
        assert held.logprobs.shape == held.tokens.shape == (n, 1, t)
        assert np.isnan(held.logprobs[:, 0, 0]).all() and not np.isnan(held.logprobs[:, 0, 1:]).any()
        x, x_test = (e.features.astype(np.float32).reshape(len(e.features), -1) for e in (fit, held))
        mean, spread = x.mean(0), x.std(0) + 1e-6
        model = LogisticRegression(C=0.1, max_iter=300).fit((x - mean) / spread, pool.y)
        reached[untrained] = (model.predict((x_test - mean) / spread) == test.y).mean()
    assert reached[False] > 0.8
    assert reached[True] < 0.56


def test_pretraining_is_seeded() -> None:
    shares: list[float] = []
    one = student.train(3, steps=2, progress=shares.append).state_dict()
    same, other = student.train(3, steps=2).state_dict(), student.train(4, steps=2).state_dict()
    assert all((one[k] == same[k]).all() for k in one)
    assert any((one[k] != other[k]).any() for k in one)
    assert shares[-1] == 1.0
