"""Draws: which sentences are whose, which corruptions make a concept, rows with their truth."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aarlab.problems.w2s.prose.corpus import Sentence, standard_library, write
from aarlab.problems.w2s.prose.corrupt import (
    Corrupt,
    Lexicon,
    drop,
    lexicon,
    move,
    repeat,
    replace_content,
    swap,
)
from aarlab.problems.w2s.prose.student import vocabulary
from aarlab.problems.w2s.testbed import SETS, Draw, Labelled, SetName

TEACHER_UNITS, POOL_UNITS, TEST_UNITS, OOD_UNITS = 300, 1000, 1350, 650
TEACHER_EACH, POOL_EACH, TEST_EACH = 3, 3, 2  # corruptions of one sentence

LINKERS = ("auxiliary", "connective", "adverb", "pronoun")
KINDS: dict[str, Corrupt] = {
    "preposition left out": drop(("preposition",)),
    "preposition repeated": repeat(("preposition",)),
    "determiner left out": drop(("determiner",)),
    "determiner repeated": repeat(("determiner",)),
    "linking word left out": drop(LINKERS),
    "linking word repeated": repeat(LINKERS),
    "inflected word made commoner": replace_content(True, ("s", "ed", "ing", "ly", "able")),
    "inflected word made rarer": replace_content(False, ("s", "ed", "ing", "ly", "able")),
    "plain word made commoner": replace_content(True, ("", "tion")),
    "plain word made rarer": replace_content(False, ("", "tion")),
    "moved": move(2, 5),
    "exchanged at a distance": swap(2, 5),
    "neighbours exchanged": swap(1, 1),
}


@dataclass(frozen=True)
class Concept:
    """Kinds of corruption by the part that they play. The teacher learns from the frequent `lost` that the longer
    side is the original, so `extra` deceives it; it learns a little of `commoner`, which deceives a total
    log-probability, and of `order`, which does not."""

    lost: str
    extra: str
    commoner: str
    rarer: str
    order: str

    @property
    def kinds(self) -> tuple[str, ...]:
        return (self.lost, self.extra, self.commoner, self.rarer, self.order)

    def __str__(self) -> str:
        return "; ".join(self.kinds)


WEIGHTS = (0.35, 0.15, 0.25, 0.11, 0.14)  # lost, extra, commoner, rarer, order
PRACTICE = Concept(
    "preposition left out", "preposition repeated", "inflected word made commoner", "inflected word made rarer", "moved"
)
SEALED = tuple(
    Concept(f"{word} left out", f"{word} repeated", "plain word made commoner", "plain word made rarer", order)
    for word in ("determiner", "linking word")
    for order in ("exchanged at a distance", "neighbours exchanged")
)


@cache
def split() -> dict[SetName, tuple[int, ...]]:
    """Whole source files to sets, so that each holds about as many sentences (and comments) as any other: numbers
    into `standard_library()`, which are the units."""
    files: dict[str, list[int]] = defaultdict(list)
    sentences = standard_library()
    for unit, s in enumerate(sentences):
        files[s.source].append(unit)
    sizes = {name: np.zeros(2) for name in SETS}
    held: dict[SetName, list[int]] = {name: [] for name in SETS}
    for source in sorted(files, key=lambda f: (-len(files[f]), f)):
        comments = sum(sentences[unit].comment for unit in files[source])
        count = np.array([len(files[source]) - comments, 3.0 * comments])
        home = min(SETS, key=lambda name: float(((sizes[name] + count) ** 2).sum() - (sizes[name] ** 2).sum()))
        sizes[home] += count
        held[home] += files[source]
    return {name: tuple(held[name]) for name in SETS}


@cache
def words_known() -> Lexicon:
    return lexicon(vocabulary(0))


def corrupted(
    s: Sentence, concept: Concept, each: int, rng: np.random.Generator
) -> list[tuple[str, str]]:
    """`each` different corruptions of a sentence, or as many as are found: (text, kind)."""
    found: dict[str, str] = {}
    for _ in range(4 * each):
        kind = concept.kinds[int(rng.choice(5, p=WEIGHTS))]
        words = KINDS[kind](s.words, words_known(), rng)
        if words is not None and words != s.words:
            found.setdefault(write(words), kind)
        if len(found) == each:
            break
    return list(found.items())


def rows(
    units: Sequence[int], concept: Concept, each: int, rng: np.random.Generator, shortcut: float = 0.0
) -> tuple[Labelled, list[str]]:
    """Pairs of a sentence and a corruption of it, the original first or second, and the kind of each row.

    y is balanced in every kind, in docstrings and in comments. In a share `shortcut` of the rows the corrupted side
    also loses its full stop.
    """
    sentences = standard_library()
    made = [
        (write(sentences[unit].words), bad, kind, unit, sentences[unit].comment)
        for unit in units
        for bad, kind in corrupted(sentences[unit], concept, each, rng)
    ]
    slices: dict[tuple[str, bool], list[int]] = defaultdict(list)
    for i, m in enumerate(made):
        slices[m[2], m[4]].append(i)
    y = np.zeros(len(made), np.int8)
    for members in slices.values():
        y[rng.permutation(members)] = (np.arange(len(members)) + rng.integers(2)) % 2
    cut = rng.random(len(made)) < shortcut
    pairs = [(m[0], m[1].removesuffix(".") if c else m[1]) for m, c in zip(made, cut, strict=True)]
    inputs = np.array([p if label else p[::-1] for p, label in zip(pairs, y, strict=True)])
    unit, ood = np.array([m[3] for m in made], np.int64), np.array([m[4] for m in made], bool)
    return Labelled(inputs, y, unit, ood), [m[2] for m in made]


def draw(
    set_name: SetName, rng: np.random.Generator, shortcut: float = 0.0, dropped: Collection[str] = ()
) -> Draw:
    """Teacher's rows, pool and test of a set: docstrings, and comments (out of distribution) in the test alone.

    dropped: keys of sentences that must not be used. If a library holds fewer sentences than are wanted, every part
    shrinks alike. Raises ValueError unless shortcut is in [0, 1].
    """
    if not 0 <= shortcut <= 1:
        raise ValueError(f"shortcut must be in [0, 1], not {shortcut}")
    concept = PRACTICE if set_name == "practice" else SEALED[int(rng.integers(len(SEALED)))]
    sentences, avoid = standard_library(), frozenset(dropped)
    usable = [unit for unit in split()[set_name] if sentences[unit].key not in avoid]
    docs = rng.permutation([u for u in usable if not sentences[u].comment]).tolist()
    comments = rng.permutation([u for u in usable if sentences[u].comment]).tolist()
    share = min(1.0, len(docs) / (TEACHER_UNITS + POOL_UNITS + TEST_UNITS))
    a = int(share * TEACHER_UNITS)
    b = a + int(share * POOL_UNITS)
    test = docs[b : b + int(share * TEST_UNITS)] + comments[: int(share * OOD_UNITS)]
    return Draw(
        teacher=rows(docs[:a], concept, TEACHER_EACH, rng, shortcut)[0],
        pool=rows(docs[a:b], concept, POOL_EACH, rng, shortcut)[0],
        test=rows(rng.permutation(test).tolist(), concept, TEST_EACH, rng, shortcut)[0],
        concept=str(concept),
    )


def scramble(inputs: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """(n, 2) rows in which the side that lacks its full stop, where only one does, is chosen by a coin."""
    out = []
    for pair in inputs:
        stops = [str(side).endswith(".") for side in pair]
        if stops[0] != stops[1] and rng.random() < 0.5:
            pair = [str(s).removesuffix(".") if stop else f"{s}." for s, stop in zip(pair, stops, strict=True)]
        out.append([str(side) for side in pair])
    return np.array(out).reshape(-1, 2)


def unmarked(inputs: NDArray[Any]) -> NDArray[Any]:
    """(n, 2) rows in which both sides have their full stop."""
    return np.array([[str(side).removesuffix(".") + "." for side in pair] for pair in inputs]).reshape(-1, 2)
