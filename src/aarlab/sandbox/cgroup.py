"""Control groups where this process may make them, versions 1 and 2: memory, processes and CPU of a whole
tree.

Where it may not (most containers, most plain logins), `create` returns None and the limits of single
processes (setrlimit) with the watch in process.py are the floor."""

import atexit
import contextlib
import functools
import itertools
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 2.0  # seconds that a group which is still busy is waited for, before it is left to `sweep`
STALE = 60.0  # seconds after which an empty group of a process that is gone was left behind
ROOT = Path("/sys/fs/cgroup")
CONTROLLERS = ("memory", "pids", "cpuacct")
_number = itertools.count()
_left: set[Path] = set()  # of this process, busy when it closed them


@dataclass(frozen=True)
class Cgroup:
    """One folder for every controller (version 1), or the same folder for all (version 2)."""

    folders: dict[str, Path]
    version: int

    def add(self, pid: int) -> None:
        """Move a process in; its later children are born there."""
        for folder in set(self.folders.values()):
            (folder / "cgroup.procs").write_text(str(pid))

    def cpu_seconds(self) -> float | None:
        """User and system time of all that ever ran in it."""
        with contextlib.suppress(OSError, ValueError, KeyError, StopIteration):
            if self.version == 1:
                return int((self.folders["cpuacct"] / "cpuacct.usage").read_text()) / 1e9
            return _event(self.folders["cpuacct"] / "cpu.stat", "usage_usec") / 1e6
        return None

    def out_of_memory(self) -> bool:
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        return "memory" in self.folders and _event(self.folders["memory"] / name, "oom_kill") > 0

    def refused_process(self) -> bool:
        return "pids" in self.folders and _event(self.folders["pids"] / "pids.events", "max") > 0

    def close(self) -> None:
        """Remove the folders; all processes must have ended. The kernel may still be clearing up after them, for long
        on a busy machine: what stays busy is removed by a later `sweep`."""
        _left.update(self.folders.values())
        until = time.monotonic() + PATIENCE
        while not gone(self.folders.values()) and time.monotonic() < until:
            time.sleep(0.02)


def gone(folders: Iterable[Path]) -> bool:
    """Remove these empty groups; False if one is still busy."""
    for folder in set(folders):
        with contextlib.suppress(OSError):
            folder.rmdir()
        if not folder.exists():
            _left.discard(folder)
    return not _left.intersection(folders)


def sweep() -> bool:
    """Remove what this process had to leave; False if some of it is busy still."""
    return gone(list(_left))


@functools.cache
def clear(parent: Path) -> None:
    """Remove, once, the empty groups of labs that were killed: they could not."""
    for folder in parent.glob("aarlab-*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            owner = int(folder.name.split("-")[1])
            if not Path(f"/proc/{owner}").exists() and time.time() - folder.stat().st_mtime > STALE:
                folder.rmdir()  # refused while anything lives in it


atexit.register(sweep)


def create(memory_bytes: int, processes: int) -> Cgroup | None:
    """A new group with these limits, or None where no controller lets itself be used."""
    if _left:
        sweep()
    name = f"aarlab-{os.getpid()}-{next(_number)}"
    try:
        own = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    paths = {c: line.split(":", 2)[2] for line in own for c in line.split(":", 2)[1].split(",")}
    folders = {c: made for c in CONTROLLERS if c in paths and (made := _make(ROOT / c, paths[c], name))}
    if folders:
        group = Cgroup(folders, 1)
        settings = [("memory", "memory.limit_in_bytes", memory_bytes), ("pids", "pids.max", processes)]
    elif made := _make_unified(paths.get("", "/"), name):
        group = Cgroup(dict.fromkeys(CONTROLLERS, made), 2)
        settings = [("memory", "memory.max", memory_bytes), ("pids", "pids.max", processes)]
    else:
        return None
    for folder in set(group.folders.values()):
        clear(folder.parent)
    try:
        for controller, file, value in settings:
            if controller in group.folders:
                (group.folders[controller] / file).write_text(str(value))
        if group.version == 2:
            with contextlib.suppress(OSError):
                (group.folders["memory"] / "memory.swap.max").write_text("0")
    except OSError:
        group.close()
        return None
    return group


def _make(root: Path, own: str, name: str) -> Path | None:
    """A child of this process's own group, or of the root where a container shows only its own part."""
    parent = root / own.lstrip("/")
    parent = parent if parent.is_dir() else root
    try:
        (parent / name).mkdir()
    except OSError:
        return None
    return parent / name


def _make_unified(own: str, name: str) -> Path | None:
    """A sibling of this process's own group: version 2 allows no controllers in a group that holds
    processes."""
    parent = (ROOT / own.lstrip("/")).parent
    folder = parent / name
    try:
        folder.mkdir()
    except OSError:
        return None
    if (folder / "memory.max").exists() and (folder / "pids.max").exists():
        return folder
    folder.rmdir()
    return None


def _event(file: Path, key: str) -> int:
    """The number after `key` in a file of "key number" lines; 0 if it is not there."""
    with contextlib.suppress(OSError, ValueError):
        for line in file.read_text().splitlines():
            words = line.split()
            if len(words) == 2 and words[0] == key:
                return int(words[1])
    return 0
