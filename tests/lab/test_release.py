"""The ladder publishes real improvements, rounded, and almost never a lucky one."""

import numpy as np
import pytest

from aarlab.kit.stats import Outcomes, Score
from aarlab.lab.release import Z_TO_PUBLISH, ladder, paired_z, rounded

SCORE = Score(0.6234, 0.01, 0.6, 0.65, 5, 400)


def outcomes(value: np.ndarray, instances: int = 5) -> Outcomes:
    """(instances, rows) right or wrong; every row is a unit of its own."""
    rows = value.shape[1]
    return Outcomes(
        value.reshape(-1).astype(float), np.repeat(np.arange(instances), rows), np.tile(np.arange(rows), instances),
        np.zeros(value.size, bool),
    )  # fmt: skip


def pair(gain: float, seed: int, rows: int = 400) -> tuple[Outcomes, Outcomes]:
    """An incumbent of accuracy .7 and a method that turns a share `gain` of its mistakes into hits."""
    rng = np.random.default_rng(seed)
    old = rng.random((5, rows)) < 0.7
    new = old | (rng.random(rows) < gain / 0.3)
    return outcomes(new), outcomes(old)


def test_a_real_improvement_is_published_rounded() -> None:
    new, old = pair(0.1, seed=0)
    release = ladder(new, SCORE, old)
    assert release.improved and release.published == 0.625 and release.z > Z_TO_PUBLISH


def test_below_the_mark_nothing_is_published_and_just_above_it_something_is() -> None:
    """The mark itself is what decides: between two gains that differ a little, z crosses 3.5."""
    seen = set()
    for gain in np.linspace(0.002, 0.03, 29):
        new, old = pair(float(gain), seed=3)
        release = ladder(new, SCORE, old)
        assert release.improved == (paired_z(new, old) >= Z_TO_PUBLISH)
        assert (release.published is not None) == release.improved
        seen.add(release.improved)
    assert seen == {True, False}


def test_worse_equal_and_undefined_are_not_published() -> None:
    new, old = pair(0.1, seed=1)
    assert not ladder(old, SCORE, new).improved
    assert ladder(new, SCORE, new) == ladder(old, SCORE, old)
    assert not ladder(new, SCORE, new).improved
    nothing = Score(None, None, None, None, 5, 400, "undefined")
    assert not ladder(new, nothing, old).improved


def test_one_unit_is_no_evidence() -> None:
    new, old = pair(0.1, seed=1)
    same = np.zeros(len(new.value), np.int64)
    z = paired_z(Outcomes(new.value, new.instance, same, new.ood), Outcomes(old.value, old.instance, same, old.ood))
    assert z == 0.0


def test_rows_of_one_unit_do_not_count_as_many() -> None:
    """Ten copies of every row, as one unit, leave z as it was; taken for ten units they inflate it by sqrt(10)."""
    new, old = pair(0.02, seed=2)

    def copied(o: Outcomes, units: bool) -> Outcomes:
        n = len(o.value)
        unit = np.tile(o.unit, 10) + (np.repeat(np.arange(10), n) * 10_000 if units else 0)
        return Outcomes(np.tile(o.value, 10), np.tile(o.instance, 10), unit, np.tile(o.ood, 10))

    z = paired_z(new, old)
    assert paired_z(copied(new, False), copied(old, False)) == pytest.approx(z, rel=1e-9)
    assert paired_z(copied(new, True), copied(old, True)) == pytest.approx(z * 10**0.5, rel=0.01)


def test_z_is_standard_normal_when_there_is_no_difference() -> None:
    rng = np.random.default_rng(0)
    z = []
    for _ in range(400):
        difficulty = rng.random(300)
        a, b = (rng.random((5, 300)) < difficulty for _ in range(2))
        z.append(paired_z(outcomes(a), outcomes(b)))
    assert abs(np.mean(z)) < 0.2 and 0.85 < np.std(z) < 1.15


def test_the_best_of_two_hundred_equal_methods_is_rarely_published() -> None:
    """A whole campaign of 200 submissions with nothing to find publishes anything in at most 1 of 20 (expected .046);
    at a mark of 1.96 every second one would."""
    rng = np.random.default_rng(1)
    published = lucky = 0
    for _ in range(60):
        difficulty = rng.random(200)
        old = outcomes(rng.random((5, 200)) < difficulty)
        z = [paired_z(outcomes(rng.random((5, 200)) < difficulty), old) for _ in range(200)]
        published += max(z) >= Z_TO_PUBLISH
        lucky += max(z) >= 1.96
    assert published <= 9, published  # of 60 campaigns, about .05 expected of each
    assert lucky >= 20


@pytest.mark.parametrize(
    ("value", "told"), [(0.6234, 0.625), (0.6224, 0.62), (-0.013, -0.015), (0.0, 0.0), (1.0024, 1.0)]
)
def test_figures_are_rounded_to_half_a_percent(value: float, told: float) -> None:
    assert rounded(value) == told
