"""Transfer, from the toy testbed to itself under other names: what gains is told from what does not and cannot run."""

from pathlib import Path

import pytest

from aarlab.audit.transfer import transfer
from aarlab.kit import zoo
from aarlab.problems import base
from aarlab.problems.base import UnknownProblem

GOOD = zoo.source(zoo.BASELINES["self_training"])
TEACHER = "def run(task):\n    return task.teacher.test\n"
PAIRED = "def run(task):\n    assert task.paired\n    return task.teacher.test\n"


def folder(path: Path, code: str) -> Path:
    path.mkdir()
    (path / "method.py").write_text(code)
    return path


class Paired:
    """The toy testbed, were its rows pairs with log-probabilities."""

    name, transfers = "w2s/pairs", ("w2s/toy",)
    traits = {"paired": True, "logprobs": True}
    entries, needs = ("run",), ("paired", "logprobs")


def test_a_gain_that_carries_over_holds(tmp_path: Path, walls: None) -> None:
    toy = base.load("w2s/toy")
    found = transfer(toy, folder(tmp_path / "good", GOOD), "bwrap", ["w2s/toy", "w2s/toy@0.6"])
    assert found["verdict"] == "holds on 2 of 2", found
    assert found["value"]["low"] > 0
    assert [e["status"] for e in found["testbeds"]] == ["ran", "ran"]


def test_what_does_not_gain_does_not_hold(tmp_path: Path, walls: None) -> None:
    found = transfer(base.load("w2s/toy"), folder(tmp_path / "teacher", TEACHER), "bwrap", ["w2s/toy"])
    assert found["verdict"] == "holds on 0 of 1"
    assert found["testbeds"][0]["recovered"]["mean"] == pytest.approx(0, abs=1e-9)


def test_what_cannot_run_there_is_not_applicable_and_what_fails_fails(tmp_path: Path, walls: None) -> None:
    method = folder(tmp_path / "paired", PAIRED)
    found = transfer(Paired(), method, "bwrap")  # type: ignore[arg-type]
    assert found["verdict"] == "not_run" and found["testbeds"][0]["status"] == "not applicable"
    found = transfer(base.load("w2s/toy"), method, "bwrap", ["w2s/toy"])
    assert found["verdict"] == "holds on 0 of 1" and found["testbeds"][0]["status"] == "failed"


def test_time_is_kept(tmp_path: Path) -> None:
    found = transfer(base.load("w2s/toy"), folder(tmp_path / "good", GOOD), "bwrap", ["w2s/toy"], seconds=-1)
    assert found["verdict"] == "not_run" and "time" in found["testbeds"][0]["why"]


def test_an_unknown_testbed_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownProblem, match="w2s/toi"):
        transfer(base.load("w2s/toy"), folder(tmp_path / "good", GOOD), "bwrap", ["w2s/toi"])
