"""Looking at a running tree from outside: CPU, memory and processes from /proc, size of its writable
folders."""

import contextlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
TICK = os.sysconf("SC_CLK_TCK")
DEPTH = 64


@dataclass(frozen=True)
class Tree:
    """Sums over a process and its descendants; memory is what is private to each (shared libraries count once
    at most, shared anonymous memory not at all)."""

    tasks: int
    memory_bytes: int
    cpu_seconds: float


def tree(pid: int, most_tasks: int) -> Tree:
    """What the tree below (and with) `pid` uses now; counting stops past `most_tasks`, as a fork bomb
    grows faster than it can be counted. Zeros where there is no /proc."""
    tasks, memory, ticks = 0, 0, 0
    for process in descendants(pid):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(
                int(value) for value in fields[11:15]
            )  # its own and its ended children's, user and system
            tasks += int(fields[17])
            pages = Path(f"/proc/{process}/statm").read_text().split()
            memory += (int(pages[1]) - int(pages[2])) * PAGE
        if tasks > most_tasks:
            break
    return Tree(tasks, memory, ticks / TICK)


def descendants(pid: int) -> Iterable[int]:
    waiting = [pid]
    while waiting:
        process = waiting.pop()
        yield process
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{process}/task"):
                with contextlib.suppress(OSError):
                    text = Path(f"/proc/{process}/task/{task}/children").read_text()
                    waiting += [int(child) for child in text.split()]


def deleted_bytes(pid: int, folders: Iterable[Path]) -> int:
    """Bytes of files without a name that the tree holds open on the folders' file systems: they fill the
    disk, and no listing shows them. (A file that is mapped, closed and deleted escapes this count.)"""
    devices = set()
    for folder in folders:
        with contextlib.suppress(OSError):
            devices.add(os.stat(folder).st_dev)
    sizes: dict[tuple[int, int], int] = {}
    for process in descendants(pid) if devices else ():
        with contextlib.suppress(OSError):
            for number in os.listdir(f"/proc/{process}/fd"):
                with contextlib.suppress(OSError):
                    found = os.stat(f"/proc/{process}/fd/{number}")
                    if found.st_nlink == 0 and found.st_dev in devices and stat.S_ISREG(found.st_mode):
                        sizes[found.st_dev, found.st_ino] = found.st_blocks * 512
    return sum(sizes.values())


def over_size(folders: Iterable[Path], most_bytes: int, most_files: int, already: int = 0) -> bool:
    """Whether the folders together, and `already` bytes, hold more than that. Links are not followed.

    What cannot be counted (a folder that may not be read, one nested deeper than 64) counts as too much:
    it could only have been made so to hide something. It stops counting at the first excess, so a huge
    tree costs little."""
    size, files = already, 0
    if size > most_bytes:
        return True
    waiting = [(str(folder), 0) for folder in folders]
    while waiting:
        folder, depth = waiting.pop()
        if depth > DEPTH:
            return True
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    files += 1
                    found = entry.stat(follow_symlinks=False)
                    is_folder = entry.is_dir(follow_symlinks=False)
                    size += max(found.st_blocks * 512, 0 if is_folder else found.st_size)
                    if files > most_files or size > most_bytes:
                        return True
                    if is_folder:
                        waiting.append((entry.path, depth + 1))
        except (FileNotFoundError, NotADirectoryError):
            continue  # it went away while we looked
        except OSError:
            return True
    return False
