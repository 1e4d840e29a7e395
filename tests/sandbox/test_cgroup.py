"""Reading control groups of both versions, and doing without."""

import os
import subprocess
from pathlib import Path

import pytest

from aarlab.sandbox import cgroup
from aarlab.sandbox.cgroup import Cgroup


def test_version_2_files_are_read(tmp_path: Path) -> None:
    group = Cgroup(dict.fromkeys(cgroup.CONTROLLERS, tmp_path), 2)
    assert not group.out_of_memory() and not group.refused_process()
    (tmp_path / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1000000\n")
    (tmp_path / "memory.events").write_text("low 0\nmax 12\noom 1\noom_kill 1\n")
    (tmp_path / "pids.events").write_text("max 3\n")
    assert group.cpu_seconds() == 1.5
    assert group.out_of_memory() and group.refused_process()


def test_version_1_files_are_read(tmp_path: Path) -> None:
    group = Cgroup(dict.fromkeys(cgroup.CONTROLLERS, tmp_path), 1)
    assert group.cpu_seconds() is None
    (tmp_path / "cpuacct.usage").write_text("2500000000\n")
    (tmp_path / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    assert group.cpu_seconds() == 2.5 and group.out_of_memory()


def test_none_where_they_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "ROOT", tmp_path)
    assert cgroup.create(2**30, 10) is None
    assert list(tmp_path.iterdir()) == []


def test_a_busy_group_is_left_and_swept_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroup, "PATIENCE", 0.05)
    folder = tmp_path / "aarlab-1-0"
    folder.mkdir()
    (folder / "busy").touch()  # a real group with a process in it refuses rmdir as this folder does
    Cgroup({"memory": folder}, 1).close()
    assert folder.exists() and not cgroup.sweep()
    (folder / "busy").unlink()
    monkeypatch.setattr(cgroup, "ROOT", tmp_path / "none")
    cgroup.create(2**30, 10)  # whoever wants a group next clears up
    assert not folder.exists() and cgroup.sweep()


def test_groups_of_killed_labs_are_cleared(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    old, young, alive = (tmp_path / f"aarlab-{pid}-0" for pid in (ended.pid, ended.pid + 2**22, os.getpid()))
    for folder in (old, young, alive):
        folder.mkdir()
    for folder in (old, alive):
        os.utime(folder, (0, 0))
    cgroup.clear(tmp_path)
    assert not old.exists() and young.exists() and alive.exists()
