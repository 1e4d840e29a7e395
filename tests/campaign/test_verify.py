"""A finished campaign is done again from its ledger, snapshots and vault; a fault planted in any of them is found."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from campaigns import records

from aarlab.campaign.verify import verify
from aarlab.lab import seal, snapshots
from aarlab.lab.ledger import GENESIS, Ledger, record_hash

Run = Callable[..., tuple[int, str, str]]
Change = Callable[[str, dict[str, Any]], None]
LATER = count(1)  # every forgery is a ledger of its own: of one that went on in two ways, both would be refused
SCORE = {"mean", "se", "low", "high", "seeds", "n", "why"}
FIELDS = {"rank", "submission", "snapshot", "method", "set", "recorded", "again", "largest_difference", "verdict", "why"}


def forge(folder: Path, change: Change) -> None:
    """What nobody but the lab itself could do: write the ledger anew with other payloads, and sign it."""
    path, later = folder / "lab.db", next(LATER)
    with closing(sqlite3.connect(path)) as c:
        rows = c.execute("SELECT seq, time, kind, actor, payload FROM events ORDER BY seq").fetchall()
        prev = GENESIS
        for seq, at, kind, actor, text in rows:
            payload = json.loads(text)
            change(kind, payload)
            text = json.dumps(payload, sort_keys=True, separators=(",", ":"))
            digest = record_hash(prev, seq, at + later, kind, actor, text)
            c.execute(
                "UPDATE events SET time = ?, payload = ?, prev = ?, hash = ? WHERE seq = ?",
                (at + later, text, prev, digest, seq),
            )
            prev = digest
        c.commit()
    with closing(Ledger(path)) as ledger:
        seal.publish(ledger)


def finalists(folder: Path) -> list[dict[str, Any]]:
    """Those that `final` was read for, the published one first, as the tests below count on there being two."""
    summary = json.loads(records(folder)[-1][3])["summary"]
    read = [f for f in summary["finalists"] if f["passed"]]
    assert len(read) >= 2, "the campaign of these tests has two methods that pass"
    return sorted(read, key=lambda f: (f["submission"] != summary["best"]["submission"], f["rank"]))


def test_a_campaign_that_nobody_touched_is_reproduced_in_every_figure(folder: Path, command: Run) -> None:
    status, out, err = command("verify", folder, "--top", "3", "--json")
    told = json.loads(out)
    assert status == 0 and out.count("\n") == 1 and "in clean sandboxes" in err
    rows = records(folder)
    assert told["ok"] and told["campaign"] == json.loads(rows[0][3])["commitment"][:12]
    assert told["ledger"] == {
        "ok": True, "records": len(rows), "head_signed": True, "signed_records": len(rows), "why": None
    }  # fmt: skip
    assert told["snapshots"]["ok"] and told["snapshots"]["checked"] > 3 and told["draws"][0]["files"] > 20
    wanted = finalists(folder)
    assert [t["submission"] for t in told["top"]][:2] == [f["submission"] for f in wanted[:2]]
    for t in told["top"]:
        assert set(t) == FIELDS and set(t["again"]) == set(t["recorded"]) == SCORE
        assert (t["verdict"], t["largest_difference"], t["why"]) == ("reproduced", 0.0, None)
        assert t["again"]["mean"] == pytest.approx(t["recorded"]["mean"], abs=1e-12)


def test_a_changed_output_and_a_changed_score_are_found(copy: Path) -> None:
    first, second, *_ = finalists(copy)
    path = next((copy / "vault" / "outputs" / str(first["submission"])).glob("final-*.f64"))
    values = np.fromfile(path, "<f8")
    values[7] += 1e-6 if values[7] < 0.5 else -1e-6
    values.tofile(path)

    def better(kind: str, payload: dict[str, Any]) -> None:
        if kind == "reading" and (payload["set"], payload["submission"]) == ("final", second["submission"]):
            payload["score"]["mean"] += 0.01

    forge(copy, better)
    told = verify(copy, 2)
    assert told["ledger"]["head_signed"] and told["draws"][0]["ok"] and not told["ok"]
    one, two = told["top"]
    assert one["verdict"] == "differs" and one["largest_difference"] == pytest.approx(1e-6)
    assert "differs from the stored one by 1e-06" in one["why"]
    assert two["verdict"] == "differs" and two["largest_difference"] == 0.0
    assert "the ledger's reading says otherwise" in two["why"] and "result does not say" in two["why"]


def test_a_changed_snapshot_a_changed_draw_and_a_method_that_throws_dice_are_found(
    copy: Path, method: Callable[..., dict[str, str]]
) -> None:
    first, second, *_ = finalists(copy)
    (copy / "snapshots" / first["snapshot"] / "card.toml").write_text('name = "other"\n')
    dice = snapshots.store(copy / "snapshots", method("return np.random.default_rng().random(len(task.test))"))

    def swap(kind: str, payload: dict[str, Any]) -> None:
        if kind == "submission" and payload["id"] == second["submission"]:
            payload["snapshot"] = dice

    forge(copy, swap)
    drawn = next((copy / "vault" / "draws").rglob("final-0/test.y.npy"))
    y = np.load(drawn)
    y[0] = 1 - y[0]
    np.save(drawn, y)
    told = verify(copy, 2)
    assert told["ledger"]["head_signed"] and not told["ok"]
    assert not told["snapshots"]["ok"] and f"snapshot {first['snapshot']} was changed" in told["snapshots"]["why"]
    assert not told["draws"][0]["ok"] and "final-0/test.y.npy is not what the secret gives (1 of " in told["draws"][0]["why"]
    one, two = told["top"]
    assert one["verdict"] == "failed" and "was changed after it was stored" in one["why"] and one["again"] is None
    assert two["verdict"] == "differs" and two["largest_difference"] > 0.01 and two["snapshot"] == dice


def test_another_secret_a_changed_record_and_a_removed_tail_end_it_at_once(
    copy: Path, command: Run, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(copy, tmp_path / "other"))
    (other / "vault" / "secret").write_text("cd" * 32)
    status, out, _ = command("verify", other, "--json")
    told = json.loads(out)
    assert status == 1 and told["ledger"]["ok"] and not told["ok"] and told["top"] == []
    assert not told["vault"]["ok"] and "not the secret that this campaign began with" in told["vault"]["why"]

    last = len(records(copy))
    for statement, said in (
        ("UPDATE events SET payload = replace(payload, '0.', '0.9') WHERE kind = 'reading'", "does not fit the chain"),
        (f"DELETE FROM events WHERE seq = {last}", f"record {last} is missing"),
    ):
        damaged = Path(shutil.copytree(copy, tmp_path / said[:6]))
        with closing(sqlite3.connect(damaged / "lab.db")) as c:
            c.execute(statement)
            c.commit()
        status, out, _ = command("verify", damaged, "--json")
        told = json.loads(out)
        assert status == 1 and not told["ok"] and told["top"] == [] and not told["ledger"]["ok"]
        assert said in told["ledger"]["why"] and told["ledger"]["head_signed"] is False
        status, out, _ = command("verify", damaged)
        assert status == 1 and "ledger: DOES NOT FIT: " in out


def test_what_is_no_finished_campaign_is_said_in_one_line(copy: Path, tmp_path: Path, command: Run) -> None:
    status, out, err = command("verify", tmp_path / "nowhere", "--json")
    assert (status, out) == (2, "") and "no campaign there" in err and err.count("\n") == 1

    def unfinished(kind: str, payload: dict[str, Any]) -> None:
        if kind == "finished":
            payload["summary"] = None

    forge(copy, unfinished)
    status, out, err = command("verify", copy)
    assert (status, out) == (2, "") and "not finished" in err.splitlines()[-1]
