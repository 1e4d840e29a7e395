"""Campaigns that are stopped, killed and resumed, and those that end by the clock: nothing is lost, nothing doubled."""

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from campaigns import SECRET, Campaign, Record, count, records

from aarlab.lab import seal, snapshots
from aarlab.lab.ledger import verify

Run = Callable[..., tuple[int, str, str]]
Start = Callable[..., Campaign]
EXPERIMENTS = 15


def kept(before: list[Record], after: list[Record]) -> bool:
    """Whether what the ledger held is still its beginning, to the last hash."""
    return len(before) > 0 and after[: len(before)] == before


def ready(practices: int, submissions: int = 0) -> Callable[[list[Record]], bool]:
    return lambda rows: count(rows, "practice") >= practices and count(rows, "submission") >= submissions


def test_stopped_and_killed_at_several_moments_it_ends_with_nothing_lost_or_doubled(
    start_campaign: Start, tmp_path: Path, command: Run
) -> None:
    folder = tmp_path / "campaign"
    options = ["--researchers", "3", "--experiments", str(EXPERIMENTS), "--seed", "1", "--secret", SECRET]
    stopped = start_campaign(folder, "run", "w2s/toy", *options, "--dir", str(folder))
    stopped.until(ready(6, 1))

    # Ctrl-C in research.
    before = records(folder)
    began = time.monotonic()
    status, out, err = stopped.end(signal.SIGINT)
    assert (status, out) == (1, "") and "nothing is lost" in err and "aarlab resume" in err and "Traceback" not in err
    assert time.monotonic() - began < 20 and stopped.left_over() == []
    at_stop = records(folder)
    assert kept(before, at_stop) and verify(folder / "lab.db")[0] == len(at_stop)
    assert count(at_stop, "research_ended") == count(at_stop, "lab_error") == 0
    assert seal.check_own(folder / "lab.db").head_signed, "stopped, it is signed to the last record"

    # While it runs again, a second writer is refused, and readers read.
    killed = start_campaign(folder, "resume", str(folder), "--json")
    killed.until(lambda _: (folder / "lock").read_text() == str(killed.process.pid))
    status, out, err = command("resume", folder)
    assert (status, out) == (2, "") and err.count("\n") == 1
    assert f"process {killed.process.pid} runs this campaign; a campaign has one writer" in err
    assert command("status", folder)[0] == 0 and verify(folder / "lab.db")[0] >= len(at_stop)
    status, _, err = command("report", folder)
    assert status == 2 and "not finished" in err and not (folder / "report.html").exists()

    # kill -9 in research.
    killed.until(ready(count(at_stop, "practice") + 1))
    assert killed.end(signal.SIGKILL)[0] == -signal.SIGKILL
    at_kill = records(folder)
    assert kept(at_stop, at_kill) and count(at_kill, "research_ended") == 0 and killed.left_over() == []

    # kill -9 when research has ended and finals are under way.
    again = start_campaign(folder, "resume", str(folder), "--json")
    again.until(lambda rows: count(rows, "reading") >= 1)
    assert again.end(signal.SIGKILL)[0] == -signal.SIGKILL
    in_finals = records(folder)
    assert kept(at_kill, in_finals) and count(in_finals, "finished") == 0 and again.left_over() == []

    last = start_campaign(folder, "resume", str(folder), "--json")
    status, out, err = last.end()
    assert status == 0, err[-2000:]
    summary = json.loads(out)
    rows = records(folder)
    assert kept(in_finals, rows) and verify(folder / "lab.db") == (len(rows), rows[-1][4])
    once_and_for_all(rows, summary)
    named = {json.loads(r[3]).get("snapshot") for r in rows} - {None}
    assert named and all(snapshots.load(folder / "snapshots", name) for name in named)
    assert command("ledger", "verify", folder)[0] == 0 and last.left_over() == []


def once_and_for_all(rows: list[Record], summary: dict[str, Any]) -> None:
    seen = Counter(r[1] for r in rows)
    assert all(seen[k] == 1 for k in ("campaign_started", "baseline_published", "research_ended", "finished"))
    assert seen["practice"] == summary["experiments"] <= EXPERIMENTS
    told = {k: [json.loads(r[3]) for r in rows if r[1] == k] for k in ("submission", "judged", "finding", "reading")}
    submitted = [(p["id"]) for p in told["submission"]]
    judged = [p["id"] for p in told["judged"]]
    assert len(set(submitted)) == len(submitted) == summary["submissions"] and sorted(judged) == sorted(submitted)
    read = [(p["set"], p["submission"]) for p in told["reading"]]
    assert len(set(read)) == len(read) > 0
    posts = [json.dumps([p[k] for k in ("researcher", "kind", "title", "text", "submission", "snapshot")])
             for p in told["finding"]]  # fmt: skip
    assert len(set(posts)) == len(posts) == summary["findings"]
    queued = [r[0] for r in rows if r[1] == "finding_queued"]
    assert sorted(p["queued"] for p in told["finding"] if p["queued"]) == queued, "what was queued was posted, once"


def test_minutes_end_in_time_without_walls_and_stamped_so(
    start_campaign: Start, tmp_path: Path, command: Run
) -> None:
    folder = tmp_path / "campaign"
    began = time.monotonic()
    campaign = start_campaign(
        folder, "run", "w2s/toy", "--researchers", "2", "--minutes", "0.15", "--sandbox", "none", "--json", "--dir",
        str(folder),
    )  # fmt: skip
    status, out, err = campaign.end()
    assert status == 0, err[-2000:]
    summary, rows = json.loads(out), records(folder)
    # A researcher's time, at most GRACE for what is in flight, and what it takes to end them.
    assert 9 <= summary["seconds"]["research"] <= 9 + 10 and summary["seconds"]["finals"] <= 90
    assert time.monotonic() - began < 100 and campaign.left_over() == []
    ended = next(i for i, r in enumerate(rows) if r[1] == "research_ended")
    assert json.loads(rows[ended][3])["why"] == "time"
    late = [r[1] for r in rows[ended:] if r[1] in ("practice", "submission", "clock", "researcher_ended")]
    assert late == [] and count(rows, "practice") == summary["experiments"] > 0
    started = json.loads(rows[0][3])
    assert started["isolated"] is False and started["sandbox"] == "none" and started["secret"] == "random"
    assert summary["sandbox"] == "none" and json.loads((folder / "report.json").read_text())["sandbox"] == "none"
    assert "NOT ISOLATED" in (folder / "report.html").read_text()
    status, out, _ = command("resume", folder)
    assert status == 0 and "NOT ISOLATED" in out and "FIXED SECRET" not in out


def test_a_process_that_is_told_to_stop_while_it_prepares_leaves_a_campaign_that_can_be_resumed(
    start_campaign: Start, tmp_path: Path
) -> None:
    folder = tmp_path / "campaign"
    options = ["--experiments", "3", "--researchers", "1", "--dir", str(folder)]
    campaign = start_campaign(folder, "run", "w2s/toy", *options)
    campaign.until(lambda rows: count(rows, "campaign_started") == 1)
    time.sleep(1.5)
    began = time.monotonic()
    # As a terminal does it: the whole group of processes hears it.
    os.killpg(campaign.process.pid, signal.SIGINT)
    status, out, err = campaign.end()
    assert (status, out) == (1, "") and "resume" in err and time.monotonic() - began < 20
    assert campaign.left_over() == [] and count(records(folder), "research_ended") == 0
    assert verify(folder / "lab.db")[0] >= 1
