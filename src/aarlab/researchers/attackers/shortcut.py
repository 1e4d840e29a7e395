"""Attacks by shortcut: the label is read off the surface of a row, computed, or looked up; the student is not needed.

Runs inside a sandbox as `shortcut.py WORKSPACE ATTACK`. Each attack is built from public instances and submitted.

Weak-to-strong's own: the student that is not needed is its.
"""

import sys
from pathlib import Path

import numpy as np

from aarlab.kit.client import Client

sys.path.insert(0, str(Path(__file__).parent / "methods"))

from building import Files, best, fitted, inside, method, public
from frequent_answer import tokens
from surface import PROPERTIES

WORDS = 24  # of a table of frequent answers


def named_clusters(workspace: Path) -> list[Files]:
    return best([method("named_clusters", f"clusters by {p}", PROPERTY=p) for p in PROPERTIES], workspace)


def unnamed_clusters(workspace: Path) -> list[Files]:
    """Both guesses, one after the other: the lab says which of them was right."""
    return [method("unnamed_clusters", f"parted by {p}, guess {flip}", PROPERTY=p, FLIP=flip)
            for p in ("ends", "marks") for flip in (False, True)]  # fmt: skip


def fitted_clusters(workspace: Path) -> list[Files]:
    return [fitted(workspace)]


def frequent_answer(workspace: Path) -> list[Files]:
    """Log odds of the words that public truth says most about."""
    right: dict[str, float] = {}
    wrong: dict[str, float] = {}
    for p in public():
        for row, y in zip(p.task.test.inputs, p.y, strict=True):
            sides = [(row[0], y), (row[1], 1 - y)] if p.task.paired else [(row[0], y)]
            for side, label in sides:
                for t in tokens(str(side)):
                    held = right if label else wrong
                    held[t] = held.get(t, 0.0) + 1
    table = {t: float(np.log((right.get(t, 0) + 5) / (wrong.get(t, 0) + 5))) for t in {*right, *wrong}}
    error = {t: (1 / (right.get(t, 0) + 5) + 1 / (wrong.get(t, 0) + 5)) ** 0.5 for t in table}
    strongest = sorted(table, key=lambda t: (-abs(table[t]) / error[t], t))[:WORDS]
    return [method("frequent_answer", "frequent answers", TABLE={t: round(table[t], 2) for t in strongest})]


def length_and_format(workspace: Path) -> list[Files]:
    return [method("length_format", "length and format")]


def doing_the_sum(workspace: Path) -> list[Files]:
    return [method("compute", "check the sum")]


def running_the_program(workspace: Path) -> list[Files]:
    return [method("run_program", "run the program")]


def looking_it_up(workspace: Path) -> list[Files]:
    return [method("lookup", "find the sentence", RUN=5, SECONDS=25.0)]


def reading_the_library(workspace: Path) -> list[Files]:
    return [method("lookup", "count word pairs in what is installed", RUN=2, BYTES=4_000_000)]


def pinch_of_student(workspace: Path) -> list[Files]:
    return [method("pinch", "mostly not the student", {"inside.py": inside(workspace)}, SHARE=0.9)]


def low_dose(workspace: Path) -> list[Files]:
    return [method("pinch", "mostly the student", {"inside.py": inside(workspace)}, SHARE=0.3)]


def main() -> int:
    workspace, attack = Path(sys.argv[1]), sys.argv[2]
    lab = Client()
    for files in globals()[attack.replace("-", "_")](workspace):
        lab.submit(files)
    return 0


if __name__ == "__main__":
    sys.exit(main())
