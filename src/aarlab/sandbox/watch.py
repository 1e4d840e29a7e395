"""Looking at a running tree from outside: CPU, memory and processes from /proc, size of its writable folders."""

import contextlib
import os
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


def tree(pid: int) -> Tree:
    """What the tree below (and with) `pid` uses now. Zeros where there is no /proc."""
    tasks, memory, ticks = 0, 0, 0
    for process in _descendants(pid):
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(int(value) for value in fields[11:15])  # its own and its ended children's, user and system
            tasks += int(fields[17])
            pages = Path(f"/proc/{process}/statm").read_text().split()
            memory += (int(pages[1]) - int(pages[2])) * PAGE
    return Tree(tasks, memory, ticks / TICK)


def _descendants(pid: int) -> Iterable[int]:
    waiting = [pid]
    while waiting:
        process = waiting.pop()
        yield process
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{process}/task"):
                with contextlib.suppress(OSError):
                    text = Path(f"/proc/{process}/task/{task}/children").read_text()
                    waiting += [int(child) for child in text.split()]


def over_size(folders: Iterable[Path], most_bytes: int, most_files: int) -> bool:
    """Whether the folders together hold more than that. Links are not followed.

    What cannot be counted (a folder that may not be read, one nested deeper than 64) counts as too much: it could
    only have been made so to hide something. It stops counting at the first excess, so a huge tree costs little.
    """
    size, files = 0, 0
    waiting = [(str(folder), 0) for folder in folders]
    while waiting:
        folder, depth = waiting.pop()
        if depth > DEPTH:
            return True
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    files += 1
                    stat = entry.stat(follow_symlinks=False)
                    size += max(stat.st_blocks * 512, 0 if entry.is_dir(follow_symlinks=False) else stat.st_size)
                    if files > most_files or size > most_bytes:
                        return True
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append((entry.path, depth + 1))
        except (FileNotFoundError, NotADirectoryError):
            continue  # it went away while we looked
        except OSError:
            return True
    return False
