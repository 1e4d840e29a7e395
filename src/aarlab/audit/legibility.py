"""Legibility: can somebody who has only read the card rebuild the method?

A reader is given the text of card.toml and nothing else, and writes a method. Original and rebuilt are run on the same
instances and must be equivalent: they agree on the rows, and their gaps recovered differ by less than a margin, by an
equivalence test (Schuirmann 1987: the whole interval lies within the margin), never by "not significant". The control
is the same card with one false fact planted: if what is rebuilt from it is equivalent too, the test had no power, and
nothing is said. Without a reader who can read the card, nothing is said either.
"""

import json
import re
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aarlab.kit import zoo
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
    """Reads cards about the kit's blocks, word by word: a table `[choices]` if there is one (kit/zoo.py names them),
    else the sentence `what`, in the words of `zoo.what`, with every parameter at its default."""

    name: str = "the zoo's reader"

    def read(self, card: str) -> Mapping[str, str] | None:
        config = self._config(card)
        return None if config is None else {"method.py": zoo.source(config), "card.toml": card}

    def plant(self, card: str, seed: int) -> str | None:
        config = self._config(card)
        if config is None:
            return None
        rng, choices = np.random.default_rng(seed), config.asdict()
        for stage, blocks in (("label", zoo.RELABELLERS), ("filter", zoo.FILTERS), ("train", zoo.TRAINERS)):
            if (now := choices.get(stage, "none")) not in ("none", "zero_shot"):
                kept = {k: v for k, v in choices.items() if not k.startswith(f"{stage}.")}
                others = [b for b in sorted(blocks) if b not in (now, "ccs", "zero_shot_prior")]
                return self._told(card, zoo.Config(kept | {stage: str(rng.choice(others))}))
        return None

    def _config(self, card: str) -> zoo.Config | None:
        try:
            said = tomllib.loads(card)
            config = zoo.Config(said["choices"] if "choices" in said else _from_words(str(said["what"])))
            zoo.source(config), zoo.what(config)  # a choice may be of a kind that neither can write
        except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError):
            return None
        return config

    def _told(self, card: str, config: zoo.Config) -> str:
        """The card as it would be of another configuration: no contradiction gives the false fact away."""
        said = tomllib.loads(card)
        text = f"name = {_quoted(str(said.get('name', '')))}\nwhat = {_quoted(zoo.what(config))}\n"
        return text + (table(config) if "choices" in said else "")


def table(config: zoo.Config) -> str:
    """A configuration as the table of a card. TOML knows no None: what is None is left out, and is None by default."""
    lines = [
        f"{_quoted(k)} = {_quoted(v) if isinstance(v, str) else json.dumps(v)}"
        for k, v in config.asdict().items()
        if v is not None
    ]
    return "\n".join(["", "[choices]", *lines, ""])


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f").encode(errors="replace").decode()


def _from_words(what: str) -> dict[str, zoo.Value]:
    """Choices from the words of `zoo.what`. Raises ValueError for other words."""
    meant = {words.rstrip("."): block for block, words in zoo.SAYS.items()}
    choices: dict[str, zoo.Value] = {}
    for part in what.rstrip(".").split("; then "):
        words = part[:1].lower() + part[1:]
        if words == "the teacher's labels":
            continue
        if members := re.fullmatch(r"(\d{1,2}) bootstrap members", words):
            choices["members"] = int(members[1])
            continue
        block = meant.get(words)
        stages = (("label", zoo.RELABELLERS), ("filter", zoo.FILTERS), ("train", {**zoo.TRAINERS, "zero_shot": None}))
        stage = next((s for s, blocks in stages if block in blocks), None)
        if block is None or stage is None:
            raise ValueError(f"no block is described by {words[:60]!r}")
        if stage == "label" and "label" in choices:  # the one before it was the first of two
            choices["first"] = choices["label"]
        elif stage in choices:
            raise ValueError(f"two blocks where there is room for one: {words[:60]!r}")
        choices[stage] = block
    if "train" not in choices:
        raise ValueError("nothing is trained and nothing is read off the student")
    return choices


def legibility(
    problem: Problem, files: Mapping[str, str], sandbox: Kind, reader: Reader | None = None,
    instances: int = INSTANCES, seed: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """The audit of a method's files by a reader (by default `ZooReader`), on public instances.

    "pass" if the method rebuilt from the card alone is equivalent, and the one rebuilt from the card with a planted
    false fact is not; else "not assessed", and why. value: rebuilt minus original in gap recovered; agreement: share
    of rows on which they fall on the same side; false: the same of the false card; reader: its name.
    """
    reader = reader or ZooReader()
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
    agreement = float(np.mean([np.mean((a > 0.5) == (b > 0.5)) for a, b in zip(original, other, strict=True)]))
    references = [problem.references(i) for i in drawn]
    scored = [
        join([problem.score(i, o) for i, o in zip(drawn, outputs, strict=True)]) for outputs in (other, original)
    ]
    floor, ceiling = join([r.floor for r in references]), join([r.ceiling for r in references])
    gap = gap_difference(scored[0], scored[1], floor, ceiling)
    within = gap.low is not None and gap.high is not None and gap.low > -MARGIN and gap.high < MARGIN
    return {
        "equivalent": within and agreement >= AGREEMENT, "agreement": round(agreement, 5), "difference": gap.asdict(),
        "why": f"the same side on {agreement:.1%} of rows, a difference of {gap}",
    }  # fmt: skip
