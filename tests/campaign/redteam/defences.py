"""The defences by name, and how a test takes one away."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from aarlab.campaign.redteam import gained
from aarlab.campaign.redteam.stage import Stage
from aarlab.lab import snapshots
from aarlab.problems.w2s import problem as w2s
from aarlab.researchers import attackers
from aarlab.researchers.attackers import Attack

PASSED = {"verdict": "pass", "value": None, "why": "taken away by the test"}


def applying(kind: str, testbed: str = "w2s/toy") -> list[Attack]:
    """The attacks of a class that apply to a testbed."""
    found = [a for a in attackers.load().values() if a.kind == kind]
    return [a for a in found if testbed in a.options.get("testbeds", [testbed])]


def stage(folder: Path, testbed: str = "w2s/toy") -> Stage:
    return Stage(testbed, folder, b"r" * 32, slots=1, reduced=True)


def off(patch: pytest.MonkeyPatch, attack: Attack, folder: Path) -> None:
    """Take away every defence that the attack lists."""
    for name in attack.defences:
        OFF[name](patch, folder)


def _same_concept(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Sealed instances are practice instances under other numbers."""
    patch.setattr(w2s.W2S, "sealed", lambda self, name, number, secret, draw=0: self.practice(10_000 + number))


def _whole_folder(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """A sandbox is given comments and notes as they were handed over."""

    def everything(files: Mapping[str, str]) -> dict[str, str]:
        notes = {p.name: p.read_text() for p in folder.rglob("snapshots/*/*.md")}
        return {**files, **notes}

    patch.setattr(snapshots, "bare", everything)


def _no_constants(patch: pytest.MonkeyPatch, folder: Path) -> None:
    patch.setattr(gained, "reading", lambda files, kind: {"constants": PASSED})


def _no_causes(patch: pytest.MonkeyPatch, folder: Path) -> None:
    patch.setattr(gained.causal, "cells_of", lambda *given, **more: gained.REAL)
    patch.setattr(gained.causal, "judge", lambda *given, **more: {"two-by-two": PASSED})


OFF: Mapping[str, Callable[[pytest.MonkeyPatch, Path], Any]] = {
    "concept": _same_concept, "bare programs": _whole_folder, "constants": _no_constants, "two-by-two": _no_causes,
    "shortcut": _no_causes,
}  # fmt: skip
