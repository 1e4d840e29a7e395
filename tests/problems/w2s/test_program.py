"""w2s/program: rows are fair, sets are apart, and nothing short of a whole step gives a row away."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from aarlab.kit.lm import load_lm
from aarlab.problems.w2s.program import TESTBED, data, student
from aarlab.problems.w2s.testbed import SETS, Draw

DRAWS = {name: TESTBED.draw(name, np.random.default_rng(i)) for i, name in enumerate(SETS)}


def symbols(draw: Draw) -> set[str]:
    """Opcodes and letters of signatures that the rows of a draw are written in."""
    opcodes, hands = draw.concept.removeprefix("programs in the opcodes ").split(", signed in ")
    return {*opcodes.replace(" ", ""), *hands}


def surface_accuracy(shortcut: float, longest: int) -> float:
    """Accuracy on 1,500 rows of a bag of symbol n-grams fitted on 8,300 rows of the same concept."""
    d = TESTBED.draw("practice", np.random.default_rng(5), shortcut)
    train = np.concatenate([d.teacher.inputs, d.pool.inputs, d.test.inputs[:1300]])[:, 0]
    y = np.concatenate([d.teacher.y, d.pool.y, d.test.y[:1300]])
    rest = ~d.test.ood
    rest[:1300] = False
    bag = CountVectorizer(analyzer="char", ngram_range=(1, longest), lowercase=False, min_df=3)
    model = LogisticRegression(C=0.05, max_iter=300).fit(bag.fit_transform(train), y)
    return float(model.score(bag.transform(d.test.inputs[rest, 0]), d.test.y[rest]))


def test_units_are_shared_by_no_two_sets_and_no_two_parts() -> None:
    parts = [set(p.unit.tolist()) for d in DRAWS.values() for p in (d.teacher, d.pool, d.test)]
    assert len(set().union(*parts)) == sum(len(p) for p in parts)


def test_documents_hold_no_program_of_a_set() -> None:
    docs = data.documents(np.random.default_rng(0), 5_000)
    long = docs[docs[:, 3 * data.ID_LENGTH + 2] == data.NUMBER[data.SIGNED]]
    ops = long[:, 3 : 3 * data.ID_LENGTH + 1 : 3].astype(np.int64) - data.NUMBER["A"]
    homes = data.home_of(data.unit_of(ops, long[:, 1].astype(np.int64) - data.NUMBER["0"]))
    assert len(homes) > 200 and (homes == 0).all()


def test_concepts_of_practice_and_sealed_sets_are_disjoint() -> None:
    sealed = set().union(*(symbols(TESTBED.draw("search", np.random.default_rng(i))) for i in range(5)))
    assert not sealed & symbols(DRAWS["practice"])


@pytest.mark.parametrize("name", SETS)
def test_balance(name: str) -> None:
    d = DRAWS[name]
    for y in (d.teacher.y, d.pool.y, d.test.y[d.test.ood], d.test.y[~d.test.ood]):
        assert y.mean() == 0.5
    assert len(d.test) == 4000 and not d.pool.ood.any() and 0.25 <= d.test.ood.mean() <= 0.34


def test_labels_are_what_execution_says() -> None:
    d = DRAWS["final"]
    for text, y in zip(d.test.inputs[::40, 0], d.test.y[::40], strict=True):
        steps = [(int(text[i]), text[i + 2], int(text[i + 3])) for i in range(1, text.index(data.SIGNED) - 1, 3)]
        right = [data.TABLE[data.LETTERS.index(op), before] == after for before, op, after in steps]
        assert all(right) == bool(y) and sum(right) >= len(right) - 1


def test_siblings_never_agree_and_every_opcode_is_a_bijection() -> None:
    assert (data.TABLE[0::2] != data.TABLE[1::2]).all()
    assert all(len(set(row)) == 10 for row in data.TABLE.tolist())


def test_a_draw_follows_its_generator() -> None:
    again = TESTBED.draw("search", np.random.default_rng(1))
    assert (again.test.inputs == DRAWS["search"].test.inputs).all()
    assert (TESTBED.draw("search", np.random.default_rng(9)).test.inputs != again.test.inputs).any()


def test_surface_is_at_chance_without_the_shortcut_and_not_with_it() -> None:
    assert abs(surface_accuracy(0.0, 3) - 0.5) < 0.04
    assert surface_accuracy(1.0, 3) > 0.95


def test_the_surface_control_can_fail() -> None:
    """A bag that holds whole steps executes by table, and does tell: the control above would notice a leak."""
    assert surface_accuracy(0.0, 4) > 0.6


def test_the_teacher_is_weak_and_better_than_chance() -> None:
    d = DRAWS["final"]
    few = d.teacher.take(np.random.default_rng(0).permutation(len(d.teacher))[: TESTBED.n_teacher])
    accuracy = ((TESTBED.fit_teacher(few, 0)(d.test) > 0.5) == d.test.y).mean()
    assert 0.55 < accuracy < 0.7


@pytest.mark.parametrize("bad", [-0.1, 1.1])
def test_a_shortcut_is_a_probability(bad: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        TESTBED.draw("practice", np.random.default_rng(0), bad)


def test_a_foreign_character_is_named() -> None:
    with pytest.raises(ValueError, match="row 1: 'é'"):
        data.tokenise(np.array([":3,A4.", ":3,é4."]))


@pytest.mark.parametrize("seed", TESTBED.students)
@pytest.mark.parametrize("untrained", [True, False])
def test_encoding_has_the_agreed_shape(seed: int, untrained: bool) -> None:
    rows: NDArray[np.str_] = DRAWS["practice"].test.inputs[-50:]
    e = TESTBED.encode(rows, seed, untrained=untrained)
    assert e.features.shape == (50, 1, student.CONFIG.layers, student.CONFIG.width)
    assert e.logprobs is not None and e.tokens is not None and e.logprobs.shape == e.tokens.shape
    assert np.isfinite(e.features).all()
    assert (np.isnan(e.logprobs[:, 0, 1:]) == (e.tokens[:, 0, 1:] == 0)).all()


def probe_accuracy(seed: int, untrained: bool) -> float:
    """How well the log-probability of the digits alone, cut at its median, tells right rows from wrong ones."""
    d = DRAWS["final"]
    rows = d.test.take(~d.test.ood)
    logprobs = TESTBED.encode(rows.inputs, seed, untrained=untrained).logprobs
    assert logprobs is not None
    digits = logprobs[:, 0, 4 : 3 * data.ID_LENGTH + 3 : 3].astype(np.float64).sum(1)
    return float(((digits > np.median(digits)) == (rows.y == 1)).mean())


@pytest.mark.parametrize("seed", TESTBED.students)
def test_the_student_has_learned_the_opcodes_and_its_twin_has_not(seed: int) -> None:
    assert probe_accuracy(seed, untrained=False) > 0.95
    assert abs(probe_accuracy(seed, untrained=True) - 0.5) < 0.05


@pytest.mark.parametrize("seed", TESTBED.students)
def test_a_signature_buries_what_the_student_knows(seed: int) -> None:
    """The log-probability of the whole row, signature included, tells far less than that of the digits."""
    d = DRAWS["final"]
    logprobs = TESTBED.encode(d.test.inputs, seed).logprobs
    assert logprobs is not None
    total = np.nansum(logprobs[:, 0].astype(np.float64), 1)
    assert 0.5 < ((total > np.median(total)) == (d.test.y == 1)).mean() < 0.8


def test_signatures_say_nothing_about_the_run() -> None:
    for d in DRAWS.values():
        signed = np.array([text.split(data.SIGNED)[1] for text in d.pool.inputs[:, 0]])
        for signature in np.unique(signed):
            share, n = d.pool.y[signed == signature].mean(), (signed == signature).sum()
            assert n < 30 or abs(share - 0.5) < 4 * 0.5 / np.sqrt(n)


def test_pretraining_follows_its_seed(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        student.pretrain(seed, steps=3, to=tmp_path / name)
    a, b, c = (load_lm(tmp_path / name, student.CONFIG).state_dict() for name in "abc")
    assert all(bool((a[k] == b[k]).all()) for k in a) and any(bool((a[k] != c[k]).any()) for k in a)
