"""The figures' uncertainty against simulation: intervals cover what they claim to, ratios and their noise agree."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import norm

from aarlab.kit.stats import (
    Outcomes,
    Score,
    accuracy,
    calibration_error,
    correct,
    difference,
    gap_difference,
    gap_recovered,
    holm,
    join,
    over_instances,
    reliability,
    two_way_se,
    undefined,
)

CAMPAIGNS = 1500


def crossed(value: np.ndarray) -> Outcomes:
    """(instances, units, rows of a unit) -> Outcomes: every instance has the same units."""
    i, u, r = value.shape
    return Outcomes(
        value.reshape(-1), np.repeat(np.arange(i), u * r), np.tile(np.repeat(np.arange(u), r), i),
        np.zeros(value.size, bool),
    )  # fmt: skip


def drawn(
    rng: np.random.Generator, instance: float, unit: float, noise: float, shape: tuple[int, int, int]
) -> np.ndarray:
    """A mean of zero with effects of the instance, of the source unit, and of the row within both."""
    i, u, _ = shape
    effects = rng.normal(0, instance, (i, 1, 1)) + rng.normal(0, unit, (1, u, 1))
    return np.asarray(effects + rng.normal(0, noise, shape))


def coverage(score: Callable[[np.random.Generator], Score], truth: float, seed: int = 0) -> float:
    """How often the 95% interval holds the truth, over simulated campaigns."""
    rng = np.random.default_rng(seed)
    hits = 0
    for _ in range(CAMPAIGNS):
        s = score(rng)
        assert s.low is not None and s.high is not None
        hits += s.low <= truth <= s.high
    return hits / CAMPAIGNS


@pytest.mark.parametrize(
    ("instance", "unit", "noise"), [(1.0, 0.0, 1.0), (1.0, 2.0, 1.0), (0.5, 3.0, 2.0), (1.0, 1.0, 0.1)]
)
def test_intervals_cover_95_percent_with_effects_of_instance_and_unit(
    instance: float, unit: float, noise: float
) -> None:
    share = coverage(lambda rng: accuracy(crossed(drawn(rng, instance, unit, noise, (10, 40, 3)))), 0.0)
    assert 0.92 <= share <= 0.98, share


def test_where_units_alone_matter_intervals_are_no_shorter_than_they_must_be() -> None:
    """No effect of the instance: the t of few degrees makes intervals a little long, never short."""
    share = coverage(lambda rng: accuracy(crossed(drawn(rng, 0.0, 2.0, 1.0, (10, 40, 3)))), 0.0)
    assert 0.94 <= share <= 0.99, share


def test_intervals_that_ignore_units_or_instances_would_not_cover() -> None:
    """The control: with each row its own cluster, or instances alone, the same data are covered far less often."""

    def rows_alone(rng: np.random.Generator) -> Score:
        o = crossed(drawn(rng, 1.0, 2.0, 1.0, (10, 40, 3)))
        half = 1.96 * o.value.std(ddof=1) / len(o.value) ** 0.5
        return Score(o.value.mean(), half, o.value.mean() - half, o.value.mean() + half, 10, 120)

    def instances_alone(rng: np.random.Generator) -> Score:
        o = crossed(drawn(rng, 0.3, 3.0, 1.0, (10, 40, 3)))
        means = o.value.reshape(10, -1).mean(1)
        half = 2.262 * means.std(ddof=1) / 10**0.5
        return Score(means.mean(), half, means.mean() - half, means.mean() + half, 10, 120)

    assert coverage(rows_alone, 0.0) < 0.8
    assert coverage(instances_alone, 0.0) < 0.8


def test_the_standard_error_is_the_spread_of_the_mean_over_campaigns() -> None:
    rng = np.random.default_rng(3)
    draws = [crossed(drawn(rng, 0.7, 1.5, 1.0, (10, 40, 3))) for _ in range(CAMPAIGNS)]
    spread = np.std([d.value.mean() for d in draws])
    mean = np.sqrt(np.mean([two_way_se(d.value, d.instance, d.unit) ** 2 for d in draws]))
    assert mean == pytest.approx(spread, rel=0.06)


def accuracies(rng: np.random.Generator, method: float, floor: float = 0.7, ceiling: float = 0.95) -> list[Outcomes]:
    """Method, floor and ceiling on the same rows: instances differ in their teacher, rows in their difficulty."""
    ease = rng.normal(0, 0.5, (1, 200, 2))
    shift = rng.normal(0, 0.15, (10, 1, 1))
    luck = rng.normal(0, 1, (10, 200, 2))

    def one(p: float, shifted: bool) -> Outcomes:
        own = 0.6 * luck + 0.8 * rng.normal(0, 1, luck.shape)
        z = np.sqrt(1 + 0.25 + (0.0225 if shifted else 0.0)) * _quantile(p)
        return crossed((own < z + ease + (shift if shifted else 0.0)).astype(float))

    return [one(method, True), one(floor, True), one(ceiling, False)]


def _quantile(p: float) -> float:
    return float(norm.ppf(p))


def test_the_interval_of_the_gap_recovered_covers_and_its_error_is_the_bootstraps() -> None:
    truth = (0.85 - 0.7) / (0.95 - 0.7)
    share = coverage(lambda rng: gap_recovered(*accuracies(rng, 0.85)), truth, seed=5)
    assert 0.92 <= share <= 0.98, share

    m, f, c = accuracies(np.random.default_rng(11), 0.85)
    rng, ratios = np.random.default_rng(1), []
    cubes = [o.value.reshape(10, 200, 2) for o in (m, f, c)]
    for _ in range(4000):  # a bootstrap over instances and units both (Owen 2007)
        i, u = rng.integers(10, size=10), rng.integers(200, size=200)
        a, b, d = (x[i][:, u].mean() for x in cubes)
        ratios.append((a - b) / (d - b))
    score = gap_recovered(m, f, c)
    # It counts what instances and units share twice, so it lies a little above; the delta method may not be below
    # half of it nor above it by more than a tenth.
    assert score.se is not None and 0.6 * np.std(ratios) <= score.se <= 1.1 * np.std(ratios)
    assert score.mean == pytest.approx(float(np.mean(ratios)), abs=0.02)


def test_a_difference_of_two_methods_is_paired() -> None:
    rng = np.random.default_rng(2)
    m, f, c = accuracies(rng, 0.85)
    better = Outcomes(np.maximum(m.value, rng.random(len(m.value)) < 0.1), m.instance, m.unit, m.ood)
    paired = gap_difference(better, m, f, c)
    a, b = gap_recovered(better, f, c), gap_recovered(m, f, c)
    assert paired.mean == pytest.approx((a.mean or 0) - (b.mean or 0)) and paired.low is not None and paired.low > 0
    assert paired.se is not None and a.se is not None and b.se is not None
    assert paired.se < 0.5 * np.hypot(a.se, b.se)
    assert gap_recovered(f, f, c).mean == 0.0 and gap_recovered(c, f, c).mean == pytest.approx(1.0)
    below = gap_recovered(Outcomes(f.value * 0, f.instance, f.unit, f.ood), f, c)
    assert below.mean is not None and below.mean < -1, "unclipped"


@pytest.mark.parametrize("gap", [0.0, -0.2, 0.004])
def test_a_gap_within_its_noise_is_undefined_with_a_reason_and_no_number(gap: float) -> None:
    m, f, c = accuracies(np.random.default_rng(4), 0.8, 0.8, 0.8 + gap)
    for s in (gap_recovered(m, f, c), gap_difference(m, f, f, c)):
        assert (s.mean, s.se, s.low, s.high) == (None, None, None, None) and "below 3 standard errors" in (s.why or "")
        assert (s.seeds, s.n) == (10, 400) and str(s) == "undefined"
    m, f, c = accuracies(np.random.default_rng(4), 0.8, 0.7, 0.9)
    assert gap_recovered(m, f, c).mean is not None


def test_one_instance_has_a_mean_and_no_interval_and_no_rows_have_nothing() -> None:
    o = crossed(np.ones((1, 5, 1)))
    s = accuracy(o)
    assert s.mean == 1.0 and s.se is s.low is s.high is None and s.why
    empty = accuracy(o.part(True))
    assert empty.mean is None and empty.why and undefined("x").asdict()["why"] == "x"


@settings(deadline=None, max_examples=50)
@given(arrays.arrays(np.float64, (3, 4, 2), elements=st.floats(0, 1, width=16)))
def test_the_error_knows_neither_order_nor_names_of_clusters(value: np.ndarray) -> None:
    o = crossed(value)
    se = two_way_se(o.value, o.instance, o.unit)
    p = np.random.default_rng(0).permutation(len(o.value))
    renamed = two_way_se(o.value[p], 7 - 3 * o.instance[p], 1000 + 11 * o.unit[p])
    assert se == pytest.approx(renamed, abs=1e-12) and se >= 0
    assert two_way_se(o.value + 5, o.instance, o.unit) == pytest.approx(se, abs=1e-9)
    means = value.reshape(3, -1).mean(1)
    assert se >= means.std(ddof=1) / 3**0.5 - 1e-9, "never less than by instances alone"


def test_parts_and_joins_keep_rows_with_their_instance() -> None:
    a = crossed(np.arange(6.0).reshape(1, 3, 2))
    flagged = Outcomes(a.value, a.instance, a.unit, a.unit == 1)
    both = join([flagged, flagged])
    assert both.instance.tolist() == [0] * 6 + [1] * 6 and both.part(True).value.tolist() == [2.0, 3.0] * 2
    assert len(both.part(True).value) + len(both.part(False).value) == 12


def test_a_probability_of_one_half_is_half_right() -> None:
    assert correct([0.2, 0.5, 0.7, 0.5, 0.0, 1.0], [0, 0, 0, 1, 1, 1]).tolist() == [1.0, 0.5, 0.0, 0.5, 0.0, 1.0]


def test_difference_is_of_the_same_rows() -> None:
    m, f, _ = accuracies(np.random.default_rng(0), 0.9)
    d = difference(m, f)
    assert d.mean == pytest.approx(float(m.value.mean() - f.value.mean()))


@pytest.mark.parametrize(
    ("p", "rejected"),
    [
        ([0.01, 0.02, 0.03], [True, True, True]),
        ([0.01, 0.03, 0.04], [True, False, False]),
        ([0.04, 0.01, 0.03], [False, True, False]),
        ([0.02, 0.001, 0.5], [True, True, False]),
        ([0.0167, 0.9, 0.9], [False, False, False]),
        ([0.05], [True]),
        ([0.050001], [False]),
        ([], []),
        ([float("nan"), 0.001], [False, True]),
        ([float("nan")], [False]),
    ],
)
def test_holm_steps_down(p: list[float], rejected: list[bool]) -> None:
    assert holm(p) == rejected


def test_holm_keeps_the_family_wise_level_and_rejects_more_than_bonferroni() -> None:
    rng = np.random.default_rng(0)
    assert np.mean([any(holm(list(rng.random(5)))) for _ in range(4000)]) == pytest.approx(0.05, abs=0.012)
    p = [0.009, 0.012, 0.016, 0.024, 0.049]
    assert sum(holm(p)) == 5 > sum(q <= 0.01 for q in p)


def test_calibration_error_by_hand() -> None:
    """Ten bins: .95 twice, of which one is right; .55 once, right; .15 said of a 0 is a confidence of .85, right."""
    p, y = [0.95, 0.95, 0.55, 0.15], [1, 0, 1, 0]
    assert calibration_error(p, y, 10) == pytest.approx((abs(1 - 1.9) + abs(1 - 0.55) + abs(1 - 0.85)) / 4)
    rng = np.random.default_rng(0)
    q = rng.random(20000)
    assert calibration_error(q, rng.random(20000) < q) < 0.02
    assert calibration_error(q, rng.random(20000) < 0.5) > 0.2
    assert np.isnan(calibration_error([], []))


def test_over_instances_is_students_t() -> None:
    score = over_instances([1.0, 2.0, 4.0])
    assert score.mean == pytest.approx(7 / 3) and score.se == pytest.approx(np.std([1, 2, 4], ddof=1) / 3**0.5)
    assert score.high is not None and score.high == pytest.approx(7 / 3 + 4.302653 * score.se)
    assert over_instances([1.0]).low is None


def test_reliability_by_hand():
    assert reliability([0.05, 0.07, 0.55, 1.0], [0, 1, 1, 1]) == [
        {"said": 0.06, "right": 0.5, "count": 2},
        {"said": 0.55, "right": 1.0, "count": 1},
        {"said": 1.0, "right": 1.0, "count": 1},
    ]
    assert reliability([], []) == []
