import dataclasses
import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aarlab.report.text import clean, line
from aarlab.report.view import Claim, Experiment, Submission, View, as_score, family_entropy, frontier


def submission(t: float, who: str, released: float | None) -> Submission:
    return Submission(t, t / 3600, who, f"s{t}", "m", "0" * 64, "scored", released is not None, released)


def experiments(plan: list[tuple[float, str, str]]) -> list[Experiment]:
    return [Experiment(t, t / 3600, who, Claim(0.1), family, "x") for t, who, family in plan]


class TestFrontier:
    posts = (
        submission(3, "ada", 0.2),
        submission(1, "boole", 0.1),
        submission(2, "ada", None),
        submission(4, "boole", 0.15),
        submission(5, "boole", math.nan),
        submission(6, "boole", 0.4),
    )

    def test_of_the_lab_rises_only(self) -> None:
        assert [(s.t, s.value) for s in frontier(self.posts)] == [(1, 0.1), (3, 0.2), (6, 0.4)]

    def test_of_one_researcher_ignores_the_others(self) -> None:
        assert [s.value for s in frontier(self.posts, "boole")] == [0.1, 0.15, 0.4]

    def test_of_nothing(self) -> None:
        assert frontier([]) == []


class TestEntropy:
    def test_one_family_has_none(self) -> None:
        points = family_entropy(experiments([(t, "ab"[t % 2], "ensemble") for t in range(1, 20)]))
        assert {p.bits for p in points} == {0.0}
        assert {(p.low, p.high) for p in points} == {(0.0, 0.0)}

    def test_four_researchers_with_a_family_each_have_two_bits(self) -> None:
        last = family_entropy(experiments([(t, "abcd"[t % 4], "ABCD"[t % 4]) for t in range(1, 41)]))[-1]
        assert last.bits == pytest.approx(2.0)
        assert last.low is not None and last.high is not None
        assert last.low < 2.0 and last.high == pytest.approx(2.0)

    def test_a_fast_researcher_weighs_no_more_than_a_slow_one(self) -> None:
        plan = [(1 + i / 100, "fast", "A") for i in range(99)] + [(1.5, "slow", "B")]
        assert family_entropy(experiments(plan), window=10)[-1].bits == pytest.approx(1.0)

    def test_falls_when_the_team_settles(self) -> None:
        plan = [(float(t), "abcd"[t % 4], "ABCD"[t % 4] if t < 50 else "A") for t in range(1, 101)]
        points = family_entropy(experiments(plan))
        assert points[0].bits == pytest.approx(2.0) and points[-1].bits == 0.0

    def test_one_researcher_has_no_interval(self) -> None:
        points = family_entropy(experiments([(float(t), "a", "AB"[t % 2]) for t in range(1, 9)]))
        assert {p.low for p in points} == {None}

    def test_is_the_same_each_time(self, fabricate: Callable[..., View]) -> None:
        view = fabricate()
        assert family_entropy(view.experiments) == family_entropy(view.experiments)
        assert all(p.low <= p.bits <= p.high for p in family_entropy(view.experiments) if p.low is not None)

    def test_of_nothing(self) -> None:
        assert family_entropy([]) == []


class TestText:
    def test_terminal_and_direction_controls_are_named(self) -> None:
        assert clean("a\x1b[2J\u202eb\x00") == "a⟨U+001B⟩[2J⟨U+202E⟩b⟨U+0000⟩"

    def test_lines_and_letters_stay(self) -> None:
        assert clean("é\tß\r\n漢字 🙂") == "é\tß\n漢字 🙂"

    @given(st.text(st.characters(exclude_categories=())), st.integers(1, 40))
    def test_a_line_is_one_short_line(self, text: str, width: int) -> None:
        shown = line(text, width)
        assert len(shown) <= width and shown.splitlines() in ([], [shown])
        shown.encode()


def test_scores_come_back_from_the_summary(fabricate: Callable[..., View]) -> None:
    view = fabricate()
    assert as_score(view.summary["best"]["final"]) == view.finalists[0].final
    assert as_score(None, "because").why == "because"
    assert as_score({"mean": math.nan, "seeds": 3}).mean is None


def test_a_view_cannot_be_changed(fabricate: Callable[..., View]) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        fabricate().sandbox = "bwrap"  # type: ignore[misc]
