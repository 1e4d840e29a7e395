"""`aarlab audit` as a user calls it: in real sandboxes, on the toy testbed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aarlab.cli import bench_audits

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path, method: Callable[..., dict[str, str]]) -> Path:
    """A method that reads the planted mark and nothing else, and notes how many tasks it was given."""
    place = tmp_path / "marked"
    place.mkdir()
    for name, text in method("return np.array([float(str(r[0]).endswith('!')) for r in task.test.inputs])").items():
        (place / name).write_text(text)
    return place


def test_a_shortcut_is_accused(walls: None, command: Command, folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "graded.html"
    status, out, _ = command("audit", folder, "--testbed", "w2s/toy@1", "--json", "--html", page)
    found: dict[str, Any] = json.loads(out)
    assert status == 0 and out.count("\n") == 1
    assert set(found) == {"method", "testbed", "verdict", "accused_by", "audits"}
    assert found["verdict"] == "accused" and found["accused_by"] == ["two-by-two", "shortcut"]
    assert found["audits"]["constants"]["verdict"] == "pass"
    assert len(found["audits"]["two-by-two"]["graded"]) == 10 and "share taken away" in page.read_text()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("nowhere", "--testbed", "w2s/toy"), "no such folder"),
        ((".", "--testbed", "w2s/nothing"), "known are"),
        (("marked", "--testbed", "w2s/toy", "--secret", "xyz"), "hexadecimal"),
    ],
)
def test_bad_input_is_one_clear_line(
    walls: None, command: Command, folder: Path, argv: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    status, out, err = command("audit", *argv)
    assert status == 2 and said in err and not out and err.count("\n") == 1


def test_rates() -> None:
    rows = [{"method": m, "accused_by": ["two-by-two"] if m in "ab" else []} for m in "aabbcc"]
    found = bench_audits.rate(rows)
    assert found["mean"] == pytest.approx(2 / 3) and (found["units"], found["methods"]) == (6, 3)
    assert found["exact_low"] < found["mean"] < found["exact_high"] and found["low"] == 0 and found["high"] == 1
    assert bench_audits.rate([])["mean"] is None
