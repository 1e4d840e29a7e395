"""The student: a small causal language model of the English in installed libraries, and its untrained twin."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from aarlab.kit.lm import LM, LMConfig, encode_lm, load_lm, new_lm, save_lm, train_lm
from aarlab.problems.w2s.prose.corpus import LONGEST, Sentence, is_word, libraries, tokens
from aarlab.problems.w2s.testbed import Encoded

WEIGHTS = Path(__file__).parent.parent / "weights"
LENGTH = 1 + LONGEST + 2  # a start, a sentence, and what a corruption may add
WORDS = 2600
STEPS = 1600
SUFFIXES = ("ing", "ed", "ly", "tion", "able", "er", "s", "al", "e")
SPECIAL = ("<pad>", "<start>", "<code>", "<number>", *(f"<-{s}>" for s in SUFFIXES), "<word>")


def vocabulary_of(sentences: Iterable[Sentence], size: int = WORDS) -> list[str]:
    """The special words, then the most frequent words of a text, the most frequent first (ties by spelling)."""
    counts = Counter(w for s in sentences for w in s.words)
    ranked = sorted(counts, key=lambda w: (-counts[w], w))
    return [*SPECIAL, *ranked[: size - len(SPECIAL)]]


def unknown(word: str) -> str:
    """The special word that stands for a word outside the vocabulary: what kind of thing it is, by its looks."""
    if re.fullmatch(r"[-+]?\d[\d.,]*", word):
        return "<number>"
    if not is_word(word):
        return "<code>"
    return next((f"<-{s}>" for s in SUFFIXES if word.endswith(s)), "<word>")


def numbers(rows: Iterable[Sequence[str]], vocabulary: Sequence[str]) -> NDArray[np.int32]:
    """(n, LENGTH) word numbers of n sentences, a start in front, 0 after the end; what is too long is cut."""
    index = {w: i for i, w in enumerate(vocabulary)}
    rows = list(rows)
    out = np.zeros((len(rows), LENGTH), np.int32)
    for row, words in zip(out, rows, strict=True):
        ids = [index["<start>"], *(index[w] if w in index else index[unknown(w)] for w in words)][:LENGTH]
        row[: len(ids)] = ids
    return out


def weights_path(seed: int) -> Path:
    return WEIGHTS / f"prose-{seed}.safetensors"


@cache
def vocabulary(seed: int = 0) -> tuple[str, ...]:
    """The vocabulary shipped with a student's weights: special words, then words by falling frequency."""
    with safe_open(weights_path(seed), framework="np") as f:
        return tuple(f.metadata()["vocabulary"].split("\n"))


@cache
def student(seed: int, untrained: bool = False) -> LM:
    """The trained student of a pretraining seed, or the random model that its training started from."""
    config = LMConfig(vocab=len(vocabulary(seed)), length=LENGTH)
    return new_lm(config, seed) if untrained else load_lm(weights_path(seed), config)


def encode(inputs: NDArray[Any], seed: int, *, untrained: bool = False) -> Encoded:
    """Features, log-probabilities and word numbers of (n, S) sentences; each distinct sentence is read once."""
    distinct, where = np.unique(inputs, return_inverse=True)
    ids = numbers([tokens(str(s)) for s in distinct], vocabulary(seed))
    features, logprobs = encode_lm(student(seed, untrained), ids)
    where = where.reshape(inputs.shape)
    return Encoded(features[where], logprobs[where], ids[where])


def pretrain(
    seed: int,
    progress: Callable[[float], None] | None = None,
    *,
    steps: int = STEPS,
    path: Path | None = None,
    sentences: Sequence[Sentence] | None = None,
) -> float:
    """Train the student on the sentences of installed libraries and write weights and vocabulary; returns the loss.

    The text is what numpy, scipy, scikit-learn, torch and what they require hold in the versions installed here,
    less all that the standard library says too: a student has read no row of any set.
    """
    text = libraries() if sentences is None else sentences
    words = vocabulary_of(text)
    rows = numbers((s.words for s in text), words)
    rows = rows[np.random.default_rng(seed).permutation(len(rows))]
    model = new_lm(LMConfig(vocab=len(words), length=LENGTH), seed)
    loss = train_lm(model, rows, steps, batch=64, seed=seed, progress=progress)
    save_lm(model, path or weights_path(seed), words)
    return loss
