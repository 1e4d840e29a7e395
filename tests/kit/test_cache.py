"""Files and folders that are whole or not there."""

import threading
from pathlib import Path

import pytest

from aarlab.kit import cache


def test_a_file_is_written_whole_or_stays_what_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "made" / "row.json"
    cache.write_whole(path, "é")
    cache.write_whole(path, b"\x00")
    assert path.read_bytes() == b"\x00" and [p.name for p in path.parent.iterdir()] == ["row.json"]

    def dies(self: Path, target: Path) -> None:
        raise OSError("killed")

    monkeypatch.setattr(Path, "replace", dies)
    with pytest.raises(OSError, match="killed"):
        cache.write_whole(path, "half")
    assert path.read_bytes() == b"\x00" and len([*path.parent.iterdir()]) == 1


def test_threads_that_write_one_file_at_once_do_not_meet(tmp_path: Path) -> None:
    together, faults = threading.Barrier(8), list[OSError]()

    def write() -> None:
        for _ in range(40):
            together.wait(30)
            try:
                cache.write_whole(tmp_path / "card.toml", "whole")
            except OSError as error:
                faults.append(error)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == [] and [p.name for p in tmp_path.iterdir()] == ["card.toml"]


def test_one_builds_and_the_others_wait(tmp_path: Path) -> None:
    inside, order = threading.Event(), []

    def second() -> None:
        inside.wait(30)
        with cache.alone(tmp_path / "folder"):
            order.append("second")

    waiting = threading.Thread(target=second)
    waiting.start()
    with cache.alone(tmp_path / "folder"):
        inside.set()
        waiting.join(0.2)
        order.append("first")
    waiting.join(30)
    assert order == ["first", "second"]
