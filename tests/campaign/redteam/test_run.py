"""The whole red team as one command: what it prints, what it keeps, what it refuses."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from aarlab.campaign.redteam import JUDGES, honest
from aarlab.campaign.redteam.run import Plan, chosen, escapes, knowing
from aarlab.researchers import attackers

pytestmark = pytest.mark.usefixtures("walls")
Run = Callable[..., tuple[int, str, str]]


def test_every_class_has_its_program_its_judge_and_attacks() -> None:
    known = attackers.load().values()
    assert {a.kind for a in known} == set(attackers.CLASSES) == set(JUDGES)
    assert all(attackers.program(kind).is_file() for kind in attackers.CLASSES)
    assert all(a.what for a in known)
    assert [a.name for a in known if not a.defences and not a.options.get("knows_audits")] == []
    assert sum(a.kind == "sandbox" for a in known) >= 25


def names() -> list[str]:
    known = attackers.load()
    return [n for n in known if known[n].kind in ("record", "sandbox")][:2]


def test_it_prints_one_object_and_goes_on_where_it_was_broken_off(command: Run, tmp_path: Path) -> None:
    argv = ["attack", "w2s/toy", "--reduced", "--only", ",".join(names()), "--dir", tmp_path / "red", "--json"]
    status, out, err = command(*argv)
    told = json.loads(out)
    assert status == 0 and set(told) == {"testbed", "release", "attacks", "knowing", "honest", "escapes"}
    assert [a["name"] for a in told["attacks"]] == names() and told["escapes"] == 0
    for a in told["attacks"]:
        assert set(a) == {
            "name", "class", "queries", "fake_gain_points", "outcome", "detected_by", "why", "knows_audits",
        }  # fmt: skip
        assert a["outcome"] in ("contained", "detected")
    kept = tmp_path / "red" / "results" / f"{names()[0]}.json"
    kept.write_text(json.dumps({**json.loads(kept.read_text()), "why": "kept"}))
    (kept.parent / f"{names()[1]}.json").unlink()  # broken off while it was played
    again = json.loads(command(*argv)[1])["attacks"]
    assert again[0]["why"] == "kept" and again[1] == told["attacks"][1]  # one was not played again, the other was
    status, out, err = command(*argv, "--release", "exact")
    assert (status, out) == (2, "") and "with other settings; name another folder by --dir" in err


def test_bad_input_is_one_line(command: Run, tmp_path: Path) -> None:
    for argv, said in (
        (["attack", "w2s/toy", "--only", "flodded-forum", "--dir", tmp_path / "a"], "near it are flooded-forum"),
        (["attack", "w2s/nothing", "--dir", tmp_path / "b"], "unknown testbed"),
        (["attack", "w2s/toy@2", "--dir", tmp_path / "c"], "a shortcut is planted in a share of 0 to 1"),
    ):
        status, out, err = command(*argv)
        assert (status, out) == (2, "") and said in err and err.count("\n") == 1


def test_the_plan_leaves_out_what_does_not_apply() -> None:
    everywhere = {a.name for a in chosen(Plan("w2s/prose"))}
    assert "doing-the-sum" not in everywhere and "doing-the-sum" in {a.name for a in chosen(Plan("w2s/arithmetic@1"))}


def test_escapes_knowing_and_accused_are_counted() -> None:
    def result(kind: str, outcome: str, knows: bool = False) -> dict[str, object]:
        return {"name": kind, "class": kind, "outcome": outcome, "knows_audits": knows}

    results = [result("sandbox", "succeeded"), result("record", "succeeded"), result("smuggling", "succeeded", True)]
    assert escapes(results) == 1
    told = knowing([*results, result("shortcut", "detected", True)])
    assert told["attacks"] == 2 and told["names"] == ["smuggling"] and told["succeeded"]["mean"] == 0.5
    judged = [{"method": "a", "accused_by": ["two-by-two"]}, {"method": "b", "accused_by": []}]
    assert honest.summary(judged)["accused"]["mean"] == 0.5
