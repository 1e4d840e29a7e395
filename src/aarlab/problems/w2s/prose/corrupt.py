"""Kinds of corruption: each takes the words of a sentence and makes one small change that a reader would notice."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aarlab.problems.w2s.prose.corpus import is_word

Words = tuple[str, ...]
Corrupt = Callable[[Words, "Lexicon", np.random.Generator], Words | None]

CLASSES: dict[str, tuple[str, ...]] = {
    "determiner": ("the", "a", "an", "this", "that", "these", "those", "each", "every", "any", "some", "no", "all",
                   "its", "their", "your", "both", "another", "such"),
    "preposition": ("of", "in", "to", "for", "on", "with", "by", "from", "at", "as", "into", "through", "over",
                    "under", "between", "about", "after", "before", "within", "without", "during", "until", "against"),
    "auxiliary": ("is", "are", "was", "were", "be", "been", "being", "has", "have", "had", "can", "could", "will",
                  "would", "should", "may", "might", "must", "do", "does", "did"),
    "connective": ("and", "or", "but", "if", "when", "while", "because", "since", "so", "than", "then", "that",
                   "which", "where", "whether", "unless", "though", "although", "however"),
    "adverb": ("not", "only", "also", "just", "even", "still", "already", "always", "never", "usually", "instead",
               "here", "there", "again", "yet", "once", "both", "either", "otherwise", "therefore", "thus"),
    "pronoun": ("it", "they", "we", "you", "he", "i", "them", "us", "this", "itself", "themselves", "one", "others"),
}  # fmt: skip
FUNCTION = frozenset(w for members in CLASSES.values() for w in members)
ENDINGS = ("ing", "ed", "ly", "tion", "able", "s")


@dataclass(frozen=True)
class Lexicon:
    """The words that a corruption may use. rank: word -> 0 for the most frequent word of the student's reading."""

    rank: Mapping[str, int]
    content: Mapping[str, Sequence[str]]  # ending -> content words that have it, the most frequent first

    def ending(self, word: str) -> str:
        return next((e for e in ENDINGS if word.endswith(e)), "")


def lexicon(vocabulary: Sequence[str]) -> Lexicon:
    """Build from words in order of falling frequency; what is not a word of two letters or more is left out."""
    words = [w for w in vocabulary if is_word(w) and (len(w) > 1 or w == "a")]
    rank = {w: i for i, w in enumerate(words)}
    content: dict[str, list[str]] = {e: [] for e in (*ENDINGS, "")}
    for w in words:
        if w not in FUNCTION and len(w) > 2:
            content[next((e for e in ENDINGS if w.endswith(e)), "")].append(w)
    return Lexicon(rank, content)


def _pick(options: Sequence[int], rng: np.random.Generator) -> int | None:
    return options[int(rng.integers(len(options)))] if options else None


def _put(words: Words, at: int, *new: str) -> Words:
    return (*words[:at], *new, *words[at + 1 :])


def _content_places(words: Words, lex: Lexicon, ends: Sequence[str] = (*ENDINGS, "")) -> list[int]:
    return [
        i for i, w in enumerate(words)
        if w in lex.rank and w not in FUNCTION and len(w) > 2 and lex.ending(w) in ends
    ]  # fmt: skip


def replace_content(commoner: bool, ends: Sequence[str], factor: float = 3.0) -> Corrupt:
    """A content word becomes another with the same ending, at least `factor` times higher (or lower) in rank."""

    def corrupt(words: Words, lex: Lexicon, rng: np.random.Generator) -> Words | None:
        places = _content_places(words, lex, ends)
        rng.shuffle(places)
        for at in places:
            r = lex.rank[words[at]] + 10
            options = [
                w for w in lex.content[lex.ending(words[at])]
                if (lex.rank[w] + 10 < r / factor if commoner else lex.rank[w] + 10 > r * factor) and w not in words
            ]  # fmt: skip
            if len(options) >= 5:
                return _put(words, at, options[int(rng.integers(len(options)))])
        return None

    return corrupt


def swap(near: int, far: int) -> Corrupt:
    """Two words exchange places, `near` to `far` words apart."""

    def corrupt(words: Words, lex: Lexicon, rng: np.random.Generator) -> Words | None:
        pairs = [
            (i, j) for i in range(len(words)) for j in range(i + near, min(i + far + 1, len(words)))
            if is_word(words[i]) and is_word(words[j]) and words[i] != words[j]
        ]  # fmt: skip
        if not pairs:
            return None
        i, j = pairs[int(rng.integers(len(pairs)))]
        out = list(words)
        out[i], out[j] = out[j], out[i]
        return tuple(out)

    return corrupt


def move(near: int, far: int) -> Corrupt:
    """One word moves `near` to `far` places to the right or left."""

    def corrupt(words: Words, lex: Lexicon, rng: np.random.Generator) -> Words | None:
        pairs = [
            (i, j) for i in range(len(words)) for j in range(len(words))
            if near <= abs(i - j) <= far and all(map(is_word, words[min(i, j) : max(i, j) + 1]))
        ]  # fmt: skip
        if not pairs:
            return None
        i, j = pairs[int(rng.integers(len(pairs)))]
        out = list(words)
        out.insert(j, out.pop(i))
        return tuple(out) if tuple(out) != words else None

    return corrupt


def _places(words: Words, classes: Sequence[str]) -> list[int]:
    members = {w for name in classes for w in CLASSES[name]}
    return [i for i, w in enumerate(words) if w in members]


def drop(classes: Sequence[str]) -> Corrupt:
    """A function word of some class is left out; with no class, a content word is."""

    def corrupt(words: Words, lex: Lexicon, rng: np.random.Generator) -> Words | None:
        at = _pick(_places(words, classes) if classes else _content_places(words, lex), rng)
        return None if at is None else _put(words, at)

    return corrupt


def repeat(classes: Sequence[str]) -> Corrupt:
    """A function word (or, with no class, a content word) of the sentence occurs once more, elsewhere."""

    def corrupt(words: Words, lex: Lexicon, rng: np.random.Generator) -> Words | None:
        at = _pick(_places(words, classes) if classes else _content_places(words, lex), rng)
        places = [] if at is None else [i for i in range(1, len(words)) if i not in (at, at + 1)]
        to = _pick(places, rng)
        return None if at is None or to is None else (*words[:to], words[at], *words[to:])

    return corrupt
