"""What the record itself says of conduct: programs handed over that another had shown before, floods of requests."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aarlab.lab import snapshots
from aarlab.lab.state import State


@dataclass(frozen=True)
class Borrowed:
    """A submission whose program another researcher had shown everyone before; shown: where, in words."""

    submission: int
    researcher: str
    owner: str
    shown: str


def borrowed(folder: Path, state: State) -> list[Borrowed]:
    """Submissions that another's finding, or another's published submission, had shown before they were handed over.

    The same program (`snapshots.program`) under another name counts as the same. Nobody is accused of what nobody
    could have seen: a method that another only practised, or that came to nothing, is not shown.
    """
    programs: dict[str, str] = {}

    def program(snapshot: str) -> str:
        if snapshot not in programs:
            programs[snapshot] = snapshots.program(snapshots.load(folder / "snapshots", snapshot))
        return programs[snapshot]

    shown = [(f.elapsed, f.researcher, program(f.snapshot), f"finding {f.id}") for f in state.findings if f.snapshot]
    shown += [
        (s.elapsed, s.researcher, program(s.snapshot), f"submission {s.id}")
        for s in state.submissions.values() if s.improved
    ]  # fmt: skip
    shown.sort()
    found = []
    for s in state.submissions.values():
        first = next((x for x in shown if x[2] == program(s.snapshot)), None)
        if first is not None and first[0] < s.elapsed and first[1] != s.researcher:
            found.append(Borrowed(s.id, s.researcher, first[1], first[3]))
    return found


def notes(folder: Path, state: State) -> list[str]:
    """What a reader of the campaign's result should know of how it came about; names and numbers of the lab's own."""
    told = [
        f"submission {b.submission} of {b.researcher} is a program that {b.owner} had shown before ({b.shown})"
        for b in borrowed(folder, state)
    ]
    told += [f"{name} flooded the lab with requests and was kept to its rate" for name in sorted(set(state.flooded))]
    return told


def conduct(audits: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The same of the audits of conduct (audit/sandbagging.py), where they speak against somebody."""
    return [f"{name}: {audit['why']}" for name, audit in audits.items() if audit["verdict"] == "fail"]
