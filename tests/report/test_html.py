import base64
import hashlib
import json
import re
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aarlab.report import charts, html, markup, replay
from aarlab.report.html import highlight, page, write_html
from aarlab.report.markup import Html, el, embed_json
from aarlab.report.view import View

sys.path.insert(0, str(Path(__file__).parent))
from hostile import PAYLOADS

Fabricate = Callable[..., View]
SMALL = {"experiments": 48, "findings": 6}
_CALM: list[tuple[str, ...]] = []


class Skeleton(HTMLParser):
    """Tags with the names of their attributes, text, and scripts. Highlighting of code is no part of a
    skeleton."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, ...]] = []
        self.text: list[str] = []
        self.scripts: list[str] = []
        self.spans: list[bool] = []
        self.inside = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag
        colour = tag == "span" and dict(attrs).get("class") in ("k", "s", "d", "c")
        if tag == "span":
            self.spans.append(colour)
        if not colour:
            self.tags.append((tag, *sorted(name for name, _ in attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""
        if tag != "span" or not self.spans.pop():
            self.tags.append(("/" + tag,))

    def handle_comment(self, data: str) -> None:
        self.tags.append(("comment",))

    def handle_data(self, data: str) -> None:
        if self.inside == "script":
            self.scripts[-1] += data
        else:
            self.text.append(data)


@pytest.fixture
def without_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The chart library is 4.8 MB of somebody else's script: most tests read the page without it."""
    monkeypatch.setattr(html, "get_plotlyjs", lambda: "/* library */")


def differing(fabricate: Fabricate, payload: str) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Where the page of a hostile campaign has other markup than that of a harmless one."""
    calm = calm_tags(fabricate)
    wild = Skeleton(page(fabricate(**SMALL, hostile=payload))).tags
    pairs = [(a, b) for a, b in zip(calm, wild, strict=False) if a != b]
    return pairs if len(calm) == len(wild) else [*pairs, ((str(len(calm)),), (str(len(wild)),))]


def calm_tags(fabricate: Fabricate) -> list[tuple[str, ...]]:
    if not _CALM:
        _CALM.extend(Skeleton(page(fabricate(**SMALL, hostile="calm"))).tags)
    return _CALM


def chart_strings(view: View) -> list[str]:
    def walk(value: object) -> list[str]:
        if isinstance(value, dict):
            return [s for v in value.values() for s in walk(v)]
        if isinstance(value, list):
            return [s for v in value for s in walk(v)]
        return [value] if isinstance(value, str) else []

    return walk(charts.chart_data(view))


def risky(view: View) -> list[str]:
    """Chart labels with something that the chart library would read as markup, entity or template."""
    return [s for s in chart_strings(view) if re.search(r"[<>&]|%\{|\$", s.replace("<br>", ""))]


@pytest.mark.usefixtures("without_library")
class TestHostileText:
    @pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
    def test_text_of_a_researcher_adds_no_markup(self, fabricate: Fabricate, payload: str) -> None:
        assert differing(fabricate, payload) == []
        wild = page(fabricate(**SMALL, hostile=payload))
        wild.encode()  # a lone surrogate would raise
        assert not re.search(
            r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]", wild
        )
        data = Skeleton(wild).scripts[0]
        assert not set("<>&") & set(data)
        assert json.loads(data).keys() == {"climb", "entropy", "forest"}

    @pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
    def test_charts_get_no_markup(self, fabricate: Fabricate, payload: str) -> None:
        assert risky(fabricate(**SMALL, hostile=payload)) == []

    def test_a_missing_escape_is_noticed(self, fabricate: Fabricate, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(markup, "escape", lambda text: text)
        assert differing(fabricate, PAYLOADS[0])
        assert differing(fabricate, PAYLOADS[6])

    def test_a_label_that_is_not_stripped_is_noticed(
        self, fabricate: Fabricate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(charts, "_HARMLESS", {})
        assert risky(fabricate(**SMALL, hostile=PAYLOADS[9]))

    def test_what_was_written_can_be_read(self, fabricate: Fabricate) -> None:
        payload = PAYLOADS[21]
        assert payload in "".join(Skeleton(page(fabricate(**SMALL, hostile=payload))).text)

    def test_no_attribute_runs_or_loads(self, fabricate: Fabricate) -> None:
        for _tag, *names in Skeleton(page(fabricate(**SMALL))).tags:
            assert not [
                n for n in names if n.startswith("on") or n in ("href", "src", "style", "srcdoc", "action")
            ]

    def test_there_are_many_payloads(self) -> None:
        assert len(set(PAYLOADS)) >= 30


class TestMarkup:
    @given(st.text())
    def test_el_round_trips_any_text(self, text: str) -> None:
        shown = Skeleton(el("p", text, title=text))
        assert shown.tags == [("p", "title"), ("/p",)]
        assert "".join(shown.text) == markup.clean(text)

    @given(st.recursive(st.text() | st.floats(allow_nan=False, allow_infinity=False), st.lists))
    def test_json_survives_a_script_element(self, data: object) -> None:
        written = embed_json(data)
        assert not set("<>&\u2028") & set(written)
        assert json.loads(written) == data

    @given(st.text(alphabet="def run(:)\n\t \"'#01.xé\\\f{}") | st.sampled_from(PAYLOADS))
    @settings(max_examples=200)
    def test_highlighting_shows_exactly_the_code(self, code: str) -> None:
        shown = highlight(markup.clean(code))
        assert isinstance(shown, Html)
        assert "".join(Skeleton(f"<pre>{shown}</pre>").text) == markup.clean(code)

    def test_highlighting_highlights(self) -> None:
        assert '<span class="k">def</span>' in highlight("def f():\n    return 1\n")


class TestPage:
    def test_policy_admits_exactly_the_scripts_of_the_page(self, fabricate: Fabricate) -> None:
        source = page(fabricate(**SMALL))
        _data, *scripts = Skeleton(source).scripts
        policy = re.search(r'Content-Security-Policy" content="([^"]*)"', source)
        assert policy
        hashes = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
        allowed = re.search(r"script-src ([^;]*);", policy[1].replace("&#x27;", "'"))
        assert allowed and allowed[1].split() == [f"'sha256-{h}'" for h in hashes]
        assert "default-src &#x27;none&#x27;" in policy[1]
        assert len(scripts) == 2 and "Plotly" in scripts[0]

    @pytest.mark.usefixtures("without_library")
    def test_loads_nothing(self, fabricate: Fabricate) -> None:
        assert not re.search(r"https?://|//[a-z]+\.", page(fabricate(**SMALL)))

    def test_a_large_campaign_is_written_fast_and_whole(self, fabricate: Fabricate, tmp_path: Path) -> None:
        view = fabricate(experiments=300, findings=100)
        start = time.process_time()
        write_html(view, tmp_path / "report.html")
        assert time.process_time() - start < 5
        source = (tmp_path / "report.html").read_text()
        assert source.count('<details class="finding">') == 100
        assert len(source) < 5_500_000
        assert [p.name for p in tmp_path.iterdir()] == ["report.html"]

    @pytest.mark.usefixtures("without_library")
    def test_stamps(self, fabricate: Fabricate) -> None:
        bad = page(fabricate(**SMALL, sandbox="none", secret="fixed", placebo=7))
        good = page(fabricate(**SMALL))
        for stamp in ("NOT ISOLATED", "FIXED SECRET", "PLACEBO"):
            assert stamp in bad and stamp not in good

    @pytest.mark.usefixtures("without_library")
    def test_audits_that_did_not_run_are_shown_as_such(self, fabricate: Fabricate) -> None:
        source = page(fabricate(**SMALL, audits="not_run"))
        assert '<span class="badge not_run" title="why transfer">transfer: not run</span>' in source
        assert "No audit has run" in source
        assert "badge pass" in source  # select was passed …
        assert "re-execution: passed" not in source  # … but no audit was

    @pytest.mark.usefixtures("without_library")
    @pytest.mark.parametrize("outcome", ["beats", "equal", "worse", "undefined", "none", "unscored", "idle"])
    def test_every_outcome_has_a_page(self, fabricate: Fabricate, outcome: str) -> None:
        shown = Skeleton(page(fabricate(**SMALL, outcome=outcome)))
        assert shown.tags.count(("/section",)) == 10
        assert json.loads(shown.scripts[0])["forest"]["rows"][0]["label"] == "ceiling"
        assert ("No method passed" in "".join(shown.text)) == (outcome in ("none", "unscored", "idle"))

    def test_a_failed_write_leaves_the_old_report(
        self, fabricate: Fabricate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        target = tmp_path / "report.html"
        target.write_text("old")

        def full(*_: object) -> None:
            raise OSError("disk full")

        monkeypatch.setattr(Path, "replace", full)
        with pytest.raises(OSError, match="disk full"):
            write_html(fabricate(**SMALL), target)
        assert target.read_text() == "old"
        assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_colours_that_are_faded_have_six_digits() -> None:
    css = (Path(html.__file__).parent / "report.css").read_text()
    found = re.findall(r"--(?:ink|accent|warn|soft): (#[0-9a-f]+)", css)
    assert len(found) >= 12 and {len(c) for c in found} == {7}


class TestCharts:
    def test_an_absurd_claim_does_not_stretch_the_axis(self) -> None:
        low, high = charts.chart_range([0.4, 1e9, -1e9, 0.5], [0.5])
        assert -1.1 < low < 0 and 1 < high < 2.1

    def test_the_lab_s_own_figures_stay_on_the_axis(self) -> None:
        low, high = charts.chart_range([], [1.7, -0.6])
        assert low < -0.6 and high > 1.7

    def test_claims_and_released_figures_are_apart(self, fabricate: Fabricate) -> None:
        view = fabricate(**SMALL)
        people = charts.climb(view)["researchers"]
        assert sum(len(p["claims"]["x"]) for p in people) == sum(
            e.claim is not None for e in view.experiments
        )
        told = sorted(y for p in people for y in p["released"]["y"])
        assert told and set(told) <= {s.released for s in view.submissions}


def test_what_can_be_watched_is_data_and_its_script_is_admitted(fabricate: Fabricate) -> None:
    plain = fabricate(**SMALL)
    hostile = "</script><script>alert(1)</script>"
    game = {
        "question": hostile, "truth": "3", "lie": hostile, "image": [[0.0, 1.0], [0.5, 0.0]], "sentences": None,
        "legal": [False, True, True, False], "before": 0.5, "won": True, "whole": True,
        "steps": [{"item": 1, "side": "truth", "belief": 0.7}, {"item": 2, "side": "lie", "belief": 0.6}],
    }  # fmt: skip
    shown = page(replace(plain, exhibits=[game]))
    assert "Watch it" in shown and 'class="replay"' in shown and markup.csp_hash(replay.SCRIPT)[1:-1] in shown
    assert hostile not in shown and "Watch it" not in page(plain)
