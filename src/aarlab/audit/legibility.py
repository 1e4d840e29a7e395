"""Legibility: can somebody who has only read the card rebuild the method?

A reader is given the text of card.toml and nothing else, and writes a method. Original and rebuilt are run on the same
instances and must be equivalent: they agree on the rows, and their gaps recovered differ by less than a margin, by an
equivalence test (Schuirmann 1987: the whole interval lies within the margin), never by "not significant". The control
is the same card with one false fact planted: if what is rebuilt from it is equivalent too, the test had no power, and
nothing is said. Without a reader who can read the card, nothing is said either.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aarlab.kit.spaces import SPACES, Space
from aarlab.kit.stats import gap_difference, join
from aarlab.lab import snapshots
from aarlab.lab.execution import execute
from aarlab.problems.base import Instance, Problem
from aarlab.sandbox.box import Kind

MARGIN = 0.1  # gap recovered
AGREEMENT = 0.95  # of the rows on the same side
INSTANCES = 5
FIRST = 1_900_001_000  # public instances that nobody has practised
RUN_SECONDS = 30.0


class Reader(Protocol):
    """Who reads cards: a program, a language model, a person."""

    @property
    def name(self) -> str: ...

    def read(self, card: str) -> Mapping[str, str] | None:
        """The files of a method that does what the card says; None if the card does not say enough."""

    def plant(self, card: str, seed: int) -> str | None:
        """The card with one fact made false, and everything else in keeping; None if no fact is found in it."""


@dataclass(frozen=True)
class ZooReader:
    """Reads cards about the kit's own methods, in the words of their space (kit/spaces.py)."""

    space: Space
    name: str = "the zoo's reader"

    def read(self, card: str) -> Mapping[str, str] | None:
        config = self.space.read_card(card)
        return None if config is None else {"method.py": self.space.source(config), "card.toml": card}

    def plant(self, card: str, seed: int) -> str | None:
        return self.space.plant_card(card, seed)


def legibility(
    problem: Problem, files: Mapping[str, str], sandbox: Kind, reader: Reader | None = None,
    instances: int = INSTANCES, seed: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """The audit of a method's files by a reader (by default `ZooReader`), on public instances.

    "pass" if the method rebuilt from the card alone is equivalent, and the one rebuilt from the card with a planted
    false fact is not; else "not assessed", and why. value: rebuilt minus original in gap recovered; agreement: share
    of rows on which they fall on the same side; false: the same of the false card; reader: its name.
    """
    reader = reader or ZooReader(SPACES[problem.kind])
    card = files.get("card.toml", "")

    def unknown(why: str, **more: Any) -> dict[str, Any]:
        return {"verdict": "not assessed", "value": None, "why": why, "reader": reader.name, **more}

    rebuilt, planted = reader.read(card), reader.plant(card, seed)
    if rebuilt is None:
        return unknown(f"{reader.name} cannot rebuild a method from the card")
    misled = reader.read(planted) if planted is not None else None
    if planted is None:
        return unknown(f"{reader.name} finds no fact in the card that could be made false")
    drawn = [problem.practice(FIRST + i) for i in range(instances)]
    original = _run(problem, files, drawn, sandbox)
    if original is None:
        return unknown("the method does not run on the instances of this test")
    true = _compare(problem, drawn, original, _run(problem, rebuilt, drawn, sandbox))
    false = _compare(problem, drawn, original, _run(problem, misled, drawn, sandbox) if misled is not None else None)
    found = {"value": true["difference"], "agreement": true["agreement"], "false": false}
    if not true["equivalent"]:
        return unknown(f"what {reader.name} rebuilt is not equivalent: {true['why']}", **found)
    if false["equivalent"]:
        return unknown("a card with a false fact in it gives an equivalent method too: the test has no power", **found)
    why = f"rebuilt by {reader.name} from the card alone: {true['why']}; with a false fact: {false['why']}"
    return {"verdict": "pass", "why": why, "reader": reader.name, **found}


def _run(
    problem: Problem, files: Mapping[str, str], drawn: list[Instance], sandbox: Kind
) -> tuple[NDArray[np.float64], ...] | None:
    """Predictions on every instance; None if the files are no method, or it fails."""
    try:
        snapshots.validate(files, problem.entries)
    except snapshots.BadMethod:
        return None
    with tempfile.TemporaryDirectory(prefix="aar-read-") as folder:
        for name, text in files.items():
            (Path(folder) / name).write_bytes(text.encode())
        done = execute(problem, Path(folder), drawn, sandbox, RUN_SECONDS)
    return done.outputs if done.code == "ok" else None


def _compare(
    problem: Problem, drawn: list[Instance], original: tuple[NDArray[np.float64], ...],
    other: tuple[NDArray[np.float64], ...] | None,
) -> dict[str, Any]:  # fmt: skip
    """Whether two methods' predictions are equivalent, with agreement and difference of gaps recovered."""
    if other is None:
        return {"equivalent": False, "agreement": None, "difference": None, "why": "it does not run"}
    references = [problem.references(i) for i in drawn]
    scored = [
        join([problem.score(i, o) for i, o in zip(drawn, outputs, strict=True)]) for outputs in (other, original)
    ]
    agreement = float(np.mean(scored[0].value == scored[1].value))
    floor, ceiling = join([r.floor for r in references]), join([r.ceiling for r in references])
    gap = gap_difference(scored[0], scored[1], floor, ceiling)
    within = gap.low is not None and gap.high is not None and gap.low > -MARGIN and gap.high < MARGIN
    return {
        "equivalent": within and agreement >= AGREEMENT, "agreement": round(agreement, 5), "difference": gap.asdict(),
        "why": f"the same side on {agreement:.1%} of rows, a difference of {gap}",
    }  # fmt: skip
