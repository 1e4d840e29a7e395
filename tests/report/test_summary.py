import dataclasses
import io
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from aarlab.kit.stats import Score
from aarlab.report import summary, words
from aarlab.report.view import View

sys.path.insert(0, str(Path(__file__).parent))
from hostile import PAYLOADS

Fabricate = Callable[..., View]


def printed(view: View, width: int = 100) -> str:
    file = io.StringIO()
    summary.print_summary(view, Console(file=file, width=width))
    return file.getvalue()


def flat(text: str) -> str:
    return " ".join(text.split())


class TestHeadline:
    @pytest.mark.parametrize(
        ("outcome", "says", "never"),
        [
            ("beats", "and beats the comparator", "cannot be told apart"),
            ("equal", "cannot be told apart from the comparator", "beats the"),
            ("worse", "falls short of the comparator", "and beats"),
            (
                "undefined",
                "its gap recovered on final is undefined: the gap between floor and ceiling",
                "beats",
            ),
            ("none", "No method passed: none of 5 finalists passed select (Holm-corrected)", "beats"),
            ("unscored", "No method passed: none of 10 submissions could be scored (time_out 10)", "beats"),
            ("idle", "No method passed: no experiment was finished", "beats"),
        ],
    )
    def test_says_what_happened(self, fabricate: Fabricate, outcome: str, says: str, never: str) -> None:
        view = fabricate(experiments=120, outcome=outcome)
        assert says in words.headline(view)
        assert never not in words.headline(view)
        assert flat(words.headline(view)) in flat(printed(view))

    def test_one_finalist(self, fabricate: Fabricate) -> None:
        view = fabricate(experiments=120, outcome="none")
        view = dataclasses.replace(view, finalists=view.finalists[:1])
        assert "the one finalist" in words.headline(view) and "did not pass" in words.headline(view)

    def test_experiments_without_a_submission(self, fabricate: Fabricate) -> None:
        view = dataclasses.replace(fabricate(experiments=11, outcome="none"), submissions=(), finalists=())
        assert "after 11 experiments" in words.why_none(view)
        assert "nothing had been submitted" in words.why_none(view)

    def test_a_method_below_its_teacher(self, fabricate: Fabricate) -> None:
        view = fabricate()
        bad = Score(-0.3, 0.05, -0.43, -0.17, 6, 4000)
        best = {**view.summary["best"], "final": bad.asdict()}
        view = dataclasses.replace(view, summary={**view.summary, "best": best})
        assert "no better than its teacher" in words.headline(view)
        assert "−0.30 [−0.43, −0.17]" in words.headline(view)

    def test_a_difference_that_touches_zero_beats_nothing(self, fabricate: Fabricate) -> None:
        view = fabricate()
        touch = Score(0.1, 0.04, 0.0, 0.2, 6, 4000)
        best = {**view.summary["best"], "beats_comparator": touch.asdict()}
        view = dataclasses.replace(view, summary={**view.summary, "best": best})
        assert words.beats(view) is False
        assert "cannot be told apart" in words.headline(view)


class TestAudits:
    def test_not_run(self, fabricate: Fabricate) -> None:
        assert "No audit has run (re-execution, seeds, transfer)" in flat(
            printed(fabricate(audits="not_run"), 200)
        )

    def test_mixed(self, fabricate: Fabricate) -> None:
        shown = printed(fabricate(), 200)
        assert "undecided (teacher x student); passed (re-execution, seeds); not run (transfer)" in shown

    def test_a_failed_audit_takes_the_colour_away(self, fabricate: Fabricate) -> None:
        assert summary.headline_style(fabricate()) == "bold green"
        assert summary.headline_style(fabricate(audits="failed")) == "bold red"
        assert "not a result" in printed(fabricate(audits="failed"))

    @pytest.mark.parametrize("spoilt", [{"sandbox": "none"}, {"secret": "fixed"}, {"outcome": "equal"}])
    def test_green_is_for_sound_wins(self, fabricate: Fabricate, spoilt: dict[str, str]) -> None:
        assert summary.headline_style(fabricate(**spoilt)) == "bold"


def test_has_every_reference_and_the_report(fabricate: Fabricate) -> None:
    shown = printed(fabricate())
    for text in ("floor", "0.684 [0.663, 0.705]", "ceiling", "0.913", "comparator: confidence loss, tuned",
                 "minus the comparator, paired", "report.html"):  # fmt: skip
        assert text in shown
    assert shown.count("baseline: ") == 7


def test_stamps(fabricate: Fabricate) -> None:
    assert "NOT ISOLATED" in printed(fabricate(sandbox="none"))
    assert "FIXED SECRET" in printed(fabricate(secret="fixed"))
    assert "PLACEBO" in printed(fabricate(placebo=7))
    assert not any(s in printed(fabricate()) for s in ("NOT ISOLATED", "FIXED SECRET", "PLACEBO"))


@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
def test_hostile_text_reaches_no_terminal(fabricate: Fabricate, payload: str) -> None:
    view = fabricate(experiments=24, findings=0, hostile=payload)
    file = io.StringIO()
    summary.print_summary(view, Console(file=file, width=300, force_terminal=True, color_system=None))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", file.getvalue())
    if "[bold red]" in payload:
        assert "[bold red]markup[/]" in file.getvalue()


@pytest.mark.parametrize(
    ("value", "written"), [(0.0, "0.00"), (-0.001, "0.00"), (-0.04, "−0.04"), (None, "–")]
)
def test_numbers(value: float | None, written: str) -> None:
    assert words.number(value) == written
