import dataclasses
import io
import math
import re
import time

import pytest
from rich.console import Console

from aarlab.cli.progress import Event, Lane, Progress, Snapshot, plain, render, sparkline

EVIL = "\x1b[2J[bold]x[/bold]\u202e\r\nnew [/] [link=http://evil.example]y[/link]"


def snapshot(lanes: int = 3, text: str = "practised oof-relabel") -> Snapshot:
    return Snapshot(
        problem="w2s/prose",
        phase="researching",
        t=83.2,
        unit="seconds",
        done=83.2,
        budget=180,
        lanes=[
            Lane(f"r{i} {text}", "practising", 7, 1, [0.1, math.nan, 0.4], 0.31, text) for i in range(lanes)
        ],
        experiments=21,
        submissions=3,
        findings=5,
        slots_busy=2,
        slots=2,
        frontier=[0.11, 0.31],
        events=[Event(80.0, text, text)],
        stamps=["NOT ISOLATED"],
    )


def drawn(s: Snapshot, width: int = 110, height: int = 40, terminal: bool = False) -> str:
    file = io.StringIO()
    Console(file=file, width=width, force_terminal=terminal, color_system=None).print(
        render(s, width, height)
    )
    return file.getvalue()


class TestRender:
    def test_shows_lanes_frontier_and_time_left(self) -> None:
        shown = drawn(snapshot())
        expected = """w2s/prose|1 min 37 s left|frontier 0.310|21 experiments|slots 2/2 busy|r0 practised
            |r2 practised|0.40|NOT ISOLATED|practised oof-relabel"""
        for text in map(str.strip, expected.split("|")):
            assert text in shown

    def test_experiments_left(self) -> None:
        s = dataclasses.replace(snapshot(), unit="experiments", done=12, budget=60)
        assert "48 experiments left" in drawn(s)

    def test_nothing_yet(self) -> None:
        s = dataclasses.replace(snapshot(0), frontier=[], events=[], done=0, budget=0)
        assert "nothing released yet" in drawn(s)

    @pytest.mark.parametrize("width", [40, 60, 80, 96, 160])
    def test_fits(self, width: int) -> None:
        lines = drawn(snapshot(50), width, 24).splitlines()
        assert max(map(len, lines)) <= width
        assert len(lines) <= 24
        assert "researchers more" in "\n".join(lines)

    def test_hostile_text_is_shown_not_obeyed(self) -> None:
        shown = drawn(snapshot(text=EVIL), 200, terminal=True)
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", shown)
        assert "[bold]x[/bold]" in shown and "⟨U+001B⟩" in shown
        assert not re.search(r"[\x00-\x1f\u202e]", plain(dataclasses.replace(snapshot(), phase=EVIL)))


def test_a_plain_line_has_the_stamps() -> None:
    assert plain(snapshot()).startswith("[NOT ISOLATED] 1 min 23 s: researching, 21 experiments")


def test_sparkline_is_clipped_and_skips_what_is_no_number() -> None:
    assert sparkline([-5, 0.0, math.nan, 1.0, 9]) == "▁▁██"
    assert len(sparkline([0.5] * 99, 12)) == 12


class TestProgress:
    def test_writes_plain_lines_where_there_is_no_terminal(self) -> None:
        file = io.StringIO()
        with Progress(snapshot, Console(file=file), every=0.01, plain_every=0.05):
            time.sleep(0.2)
        lines = file.getvalue().splitlines()
        assert 2 <= len(lines) <= 8
        assert set(lines) == {plain(snapshot())}

    def test_plain_lines_keep_their_distance(self) -> None:
        file = io.StringIO()
        with Progress(snapshot, Console(file=file), every=0.01, plain_every=60):
            time.sleep(0.1)
        assert len(file.getvalue().splitlines()) == 2  # one at the start, one at the end

    def test_draws_on_a_terminal(self) -> None:
        file = io.StringIO()
        with Progress(snapshot, Console(file=file, force_terminal=True, width=100, height=30), every=0.01):
            time.sleep(0.05)
        assert file.getvalue().count("frontier") >= 2
        assert file.getvalue().rstrip().endswith("\x1b[?25h")  # the cursor is given back

    @pytest.mark.parametrize("terminal", [True, False])
    def test_a_fault_of_the_poll_stops_nothing(
        self, terminal: bool, capsys: pytest.CaptureFixture[str]
    ) -> None:
        calls = []

        def poll() -> Snapshot:
            calls.append(1)
            raise RuntimeError("database is locked")

        with Progress(
            poll, Console(file=io.StringIO(), force_terminal=terminal), every=0.01, plain_every=0.02
        ):
            time.sleep(0.1)
        assert len(calls) >= 2
        assert ("database is locked" in capsys.readouterr().err) == (not terminal)

    def test_an_exception_of_the_block_goes_through(self) -> None:
        file = io.StringIO()
        with pytest.raises(KeyboardInterrupt), Progress(snapshot, Console(file=file), every=0.01):
            raise KeyboardInterrupt
        assert file.getvalue()
