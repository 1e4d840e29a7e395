"""A campaign on a problem that is not weak-to-strong: other entries, two asks a play, notes on the record."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from campaigns import SECRET, Campaign, records

from aarlab.campaign import finals
from aarlab.campaign import run as campaign
from aarlab.campaign.config import Config


@pytest.fixture(scope="module")
def finished(
    start_campaign: Callable[..., Campaign], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("twice") / "campaign"
    options = ["--researchers", "2", "--experiments", "10", "--submissions", "2", "--seed", "1", "--secret", SECRET]
    status, out, err = start_campaign(folder, "run", "toy/twice", *options, "--json", "--dir", str(folder)).end(
        seconds=400  # twice as many sandboxes as on the first
    )
    assert status == 0, err
    return folder, json.loads(out)


def test_it_ends_with_a_result_that_every_audit_has_seen(finished: tuple[Path, dict[str, Any]]) -> None:
    best = finished[1]["best"]
    assert best["final"]["low"] > 0 and not best["accused_by"]
    verdicts = {name: audit["verdict"] for name, audit in best["audits"].items()}
    assert verdicts["two-by-two"] in ("weak-to-strong", "elicitation with one teacher bit", "elicitation")
    assert verdicts["re-execution"] == verdicts["carry-over"] == "pass"


def test_notes_are_on_the_record(finished: tuple[Path, dict[str, Any]]) -> None:
    said = {kind: [json.loads(p) for _, k, _, p, _ in records(finished[0]) if k == kind] for kind in ("judged", "reading")}
    scored = [p for p in said["judged"] if p["status"] == "scored"] + [p for p in said["reading"] if p["code"] == "ok"]
    assert scored and all(0 <= p["notes"]["sure"] <= 1 for p in scored)


def test_the_report_is_written(finished: tuple[Path, dict[str, Any]]) -> None:
    report = (finished[0] / "report.html").read_text()
    assert "toy/twice" in report and "Watch it" in report and "is it positive?" in report


def test_another_entry_is_practised(command: Callable[..., Any], tmp_path: Path, walls: None) -> None:
    (tmp_path / "method.py").write_text("def guess(task):\n    return task.teacher.test\n")
    (tmp_path / "card.toml").write_text('name = "the floor"\n')
    status, out, _ = command("practice", "toy/twice", tmp_path, "--json")
    assert status == 0 and json.loads(out)["recovered"]["mean"] == pytest.approx(0, abs=1e-6)
    status, _, err = command("practice", "w2s/toy", tmp_path)
    assert status == 2 and "run(task)" in err


def test_research_does_not_wait_long_for_the_comparator(
    walls: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What of the comparator is not ready in time is computed when research has ended, and is the same."""
    told = {}
    for seconds in (90.0, 0.0):
        monkeypatch.setenv("AARLAB_CACHE", str(tmp_path / f"cache-{seconds}"))
        monkeypatch.setattr(campaign, "COMPARATOR_SECONDS", seconds)
        monkeypatch.setattr(finals, "CHUNK", 2)
        config = Config(problem="w2s/toy", researchers=2, experiments=8, submissions=1, seed=1)
        folder = tmp_path / f"campaign-{seconds}"
        campaign.start(config, folder, bytes.fromhex(SECRET))
        ahead: list[str] = []
        told[seconds] = campaign.conduct(folder, lambda moment, ahead=ahead: ahead.append(moment.phase))
        assert any(what.endswith("8 of 8") for what in ahead) == (seconds > 0)
    assert told[0.0]["comparator"] == told[90.0]["comparator"] is not None
