"""Draws: which sentences are whose, which corruptions make a concept, rows with their truth."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from aarlab.problems.w2s.prose.corpus import Sentence, standard_library, write
from aarlab.problems.w2s.prose.corrupt import (
    Corrupt,
    Lexicon,
    drop,
    inflect,
    lexicon,
    move,
    repeat,
    replace_content,
    replace_function,
    swap,
)
from aarlab.problems.w2s.prose.student import vocabulary
from aarlab.problems.w2s.testbed import SETS, Labelled, SetName

TEACHER_UNITS, POOL_UNITS, TEST_UNITS, COMMENT_UNITS = 350, 1100, 1400, 600
EACH = {"teacher": 3, "pool": 3, "test": 2}  # corruptions of a sentence

KINDS: dict[str, Corrupt] = {
    "noun made commoner": replace_content(True, ("", "tion")),
    "noun made rarer": replace_content(False, ("", "tion")),
    "ending kept, made commoner": replace_content(True, ("s", "ed", "ing", "ly", "able")),
    "ending kept, made rarer": replace_content(False, ("s", "ed", "ing", "ly", "able")),
    "determiner made commoner": replace_function(True, ("determiner",)),
    "determiner made rarer": replace_function(False, ("determiner",)),
    "preposition made commoner": replace_function(True, ("preposition",)),
    "preposition made rarer": replace_function(False, ("preposition",)),
    "auxiliary made commoner": replace_function(True, ("auxiliary",)),
    "auxiliary made rarer": replace_function(False, ("auxiliary",)),
    "connective made commoner": replace_function(True, ("connective", "adverb", "pronoun")),
    "connective made rarer": replace_function(False, ("connective", "adverb", "pronoun")),
    "number made commoner": inflect(True, True),
    "number made rarer": inflect(False, True),
    "form made commoner": inflect(True, False),
    "form made rarer": inflect(False, False),
    "neighbours exchanged": swap(1, 1),
    "exchanged at a distance": swap(2, 5),
    "moved": move(2, 5),
    "content left out": drop(False),
    "function left out": drop(True),
    "content repeated": repeat(False),
    "function repeated": repeat(True),
}


@dataclass(frozen=True)
class Concept:
    name: str
    kinds: Mapping[str, float]


@cache
def split() -> dict[SetName, tuple[Sentence, ...]]:
    """Whole source files to sets, so that each holds about as many sentences (and comments) as any other."""
    files: dict[str, list[Sentence]] = defaultdict(list)
    for s in standard_library():
        files[s.source].append(s)
    sizes = {name: np.zeros(2) for name in SETS}
    held: dict[SetName, list[Sentence]] = {name: [] for name in SETS}
    for source in sorted(files, key=lambda f: (-len(files[f]), f)):
        comments = sum(s.comment for s in files[source])
        count = np.array([len(files[source]) - comments, 3.0 * comments])
        home = min(SETS, key=lambda name: float(((sizes[name] + count) ** 2).sum() - (sizes[name] ** 2).sum()))
        sizes[home] += count
        held[home] += files[source]
    return {name: tuple(sorted(held[name], key=lambda s: s.key)) for name in SETS}


@cache
def words_known() -> Lexicon:
    return lexicon(vocabulary(0))


def rows(
    sentences: Sequence[Sentence], concept: Mapping[str, float], each: int, rng: np.random.Generator, first_unit: int = 0
) -> tuple[Labelled, NDArray[np.str_]]:
    """`each` corruptions of every sentence that allows so many, as pairs in random order, and the kind of each row.

    Kinds are drawn with the concept's weights, a sentence's kinds all different; y is balanced in every kind.
    """
    names = list(concept)
    weights = np.array([concept[k] for k in names])
    made: list[tuple[str, str, str, int, bool]] = []
    for number, s in enumerate(sentences):
        order = np.argsort(rng.exponential(size=len(names)) / weights)  # a draw without replacement
        found: list[tuple[str, str, str, int, bool]] = []
        for k in order:
            bad = KINDS[names[k]](s.words, words_known(), rng)
            if bad is not None and bad != s.words:
                found.append((write(s.words), write(bad), names[k], first_unit + number, s.comment))
            if len(found) == each:
                break
        made += found
    kind = np.array([m[2] for m in made])
    ood = np.array([m[4] for m in made])
    y = np.zeros(len(made), np.int8)
    for k in names:
        for part in (False, True):
            index = rng.permutation(np.flatnonzero((kind == k) & (ood == part)))
            y[index] = (np.arange(len(index)) + rng.integers(2)) % 2
    inputs = np.array([(m[0], m[1]) if label else (m[1], m[0]) for m, label in zip(made, y, strict=True)])
    return Labelled(inputs, y, np.array([m[3] for m in made], np.int64), ood), kind
