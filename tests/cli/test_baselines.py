"""`aarlab baselines --methods`: the table, its picture, what it refuses, and what a stop leaves."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aarlab.cli import methods
from aarlab.kit.stats import join
from aarlab.problems import base

Run = Callable[..., tuple[int, str, str]]
FEW = "naive_soft,confident_only,chain"


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Predictions of three methods on three instances of the toy, by worker processes."""
    done: methods.Predictions = {n: {} for n in FEW.split(",")}
    failed: dict[str, str] = {}
    methods.measure("w2s/toy", done, failed, 3)
    assert not failed
    return done


@pytest.fixture
def replayed(measured: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(testbed: str, done: Any, failed: Any, seeds: int, slow: Any) -> None:
        for name in done:
            done[name].update({s: measured[name][s] for s in range(seeds)})

    monkeypatch.setattr(methods, "measure", measure)


def test_every_method_has_its_scores_and_their_intervals(command: Run, replayed: None) -> None:
    status, out, err = command("baselines", "w2s/toy", "--methods", FEW, "--seeds", "3", "--json")
    told = json.loads(out)
    assert status == 0 and err == "" and [m["name"] for m in told["methods"]] == FEW.split(",")
    for row in told["methods"]:
        for score in (row["in_distribution"], row["out_of_distribution"], *row["ablated"].values()):
            assert score["low"] < score["mean"] < score["high"] and score["seeds"] == 3
        assert set(row["ablated"]) == {"permuted-teacher", "untrained-student"}
        assert row["in_distribution"]["mean"] > max(s["mean"] for s in row["ablated"].values())
        assert set(row["figures"]) == {"misfit", "agreement", "brier", "calibration"}
        assert row["formula"] and row["paper"]
    assert told["unfinished"] == [] and "critic" in told["absent"]
    assert told["floor"]["in_distribution"]["mean"] < told["ceiling"]["in_distribution"]["mean"]


def test_a_score_is_the_problems_own(command: Run, replayed: None, measured: Any) -> None:
    """The same as `aarlab baselines` without --methods: one statistic, carried by two roads."""
    _, out, _ = command("baselines", "w2s/toy", "--seeds", "3", "--json")
    plain = json.loads(out)["baselines"]["naive_soft"]
    _, out, _ = command("baselines", "w2s/toy", "--methods", "naive_soft", "--seeds", "3", "--json")
    (row,) = json.loads(out)["methods"]
    for where in ("in_distribution", "out_of_distribution"):
        assert row[where] == pytest.approx(plain[where])
    problem = base.load("w2s/toy")
    truth = join([problem.score(problem.practice(s), measured["naive_soft"][s][0].astype(float)) for s in range(3)])
    assert np.mean(truth.value) > 0.75


def test_the_table_and_the_picture(command: Run, replayed: None, tmp_path: Path) -> None:
    page, table = tmp_path / "m.html", tmp_path / "m.md"
    status, out, _ = command("baselines", "w2s/toy", "--methods", FEW, "--seeds", "3", "--out", page)
    assert status == 0 and out.index("recovered") < out.index("chain") and "permuted-teacher" in out
    assert "floor ." in out or "floor 0." in out
    text = page.read_text()
    assert all(f in text for f in ("confident_only", "untrained-student", "gap recovered", "Plotly"))
    command("baselines", "w2s/toy", "--methods", FEW, "--seeds", "3", "--out", table)
    lines = table.read_text().splitlines()
    assert len([line for line in lines if line.startswith("| ")]) == 5 and "Burns et al. 2023" in table.read_text()
    assert len({line.replace("\\|", "").count("|") for line in lines if line.startswith("|")}) == 1


def test_a_stop_prints_what_there_is(
    command: Run, measured: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(testbed: str, done: Any, failed: Any, seeds: int, slow: Any) -> None:
        done["naive_soft"].update({0: measured["naive_soft"][0], 1: measured["naive_soft"][1]})
        done["chain"].update({0: measured["chain"][0]})
        failed["confident_only"] = "no luck"
        raise KeyboardInterrupt

    monkeypatch.setattr(methods, "measure", interrupted)
    status, out, err = command("baselines", "w2s/toy", "--methods", FEW, "--seeds", "3", "--json")
    told = json.loads(out)
    assert status == 1 and "2 methods unfinished; the same command goes on" in err and err.count("\n") == 1
    assert [(m["name"], m["instances"]) for m in told["methods"]] == [("naive_soft", 2)]
    assert told["unfinished"] == ["chain"] and told["failed"] == {"confident_only": "no luck"}

    def at_once(testbed: str, done: Any, failed: Any, seeds: int, slow: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(methods, "measure", at_once)
    for more in ([], ["--json"], ["--out", tmp_path / "m.html"], ["--out", tmp_path / "m.md"]):
        status, out, _ = command("baselines", "w2s/toy", "--methods", FEW, "--seeds", "3", *more)
        assert status == 1 and "chain" in out


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--methods", "critic"], "critic can't be run on w2s/toy: a critic is rewarded when"),
        (["--methods", "ccs"], "ccs can't be run on w2s/toy: it does not apply to such rows"),
        (["--methods", "naive_sofd"], "no method 'naive_sofd'; the nearest are naive_soft"),
        (["--methods", " , "], "no name is given"),
        (["--full"], "--full and --out go with --methods"),
        (["--sweep"], "--sweep goes with --methods"),
        (["--methods", "all", "--out", "nowhere/m.html"], "--out nowhere/m.html: can't be written there"),
        (["--methods", "all", "--out", "m.png"], "ends in .html"),
    ],
)
def test_bad_input_is_one_line(
    command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = command("baselines", "w2s/toy", *argv)
    assert (status, out) == (2, "") and err.startswith("aarlab: ") and said in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_has_a_score_for_every_ridge(command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "WORKERS", 1)
    status, out, _ = command("baselines", "w2s/toy", "--methods", "naive_soft", "--seeds", "2", "--sweep", "--json")
    scores = json.loads(out)["methods"]["naive_soft"]
    assert status == 0 and len(scores) == 5 and all(s["seeds"] == 2 for s in scores.values())
    assert scores["ridge=0.01"]["mean"] != scores["ridge=1"]["mean"]


def test_a_problem_without_a_catalogue_says_so(command: Run) -> None:
    status, _, err = command("baselines", "debate/digits", "--methods", "all")
    assert status == 2 and "debate/digits has no catalogue of methods" in err
