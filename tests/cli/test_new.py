"""`aarlab new method`: what it writes runs, and it overwrites nothing."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., tuple[int, str, str]]


def test_a_new_method_can_be_practised(walls: None, command: Command, tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "first"
    status, out, _ = command("new", "method", folder, "--testbed", "w2s/toy", "--like", "naive_soft", "--json")
    told = json.loads(out)
    assert status == 0 and told["like"] == "naive_soft" and told["files"] == sorted(p.name for p in folder.iterdir())
    assert command("practice", "w2s/toy", folder, "--seeds", "2")[0] == 0
    (folder / "method.py").write_text("mine")
    status, _, err = command("new", "method", folder, "--testbed", "w2s/toy")
    assert status == 2 and "exists already" in err and (folder / "method.py").read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--testbed", "w2s/toy", "--like", "naive_sof"), "no baseline of w2s/toy; known are naive_soft"),
        (("--testbed", "w2s/nothing"), "known are"),
    ],
)
def test_bad_input_writes_nothing(command: Command, tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    status, _, err = command("new", "method", tmp_path / "m", *options)
    assert status == 2 and said in err and err.count("\n") == 1 and not (tmp_path / "m").exists()
