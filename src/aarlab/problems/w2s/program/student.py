"""The student: a small causal language model, pretrained on claimed runs in every opcode; its twin is untrained."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aarlab.kit.lm import LM, LMConfig, encode_lm, load_lm, new_lm, save_lm, train_lm
from aarlab.problems.w2s.program import data
from aarlab.problems.w2s.program.data import Lesson
from aarlab.problems.w2s.testbed import Encoded

CONFIG = LMConfig(vocab=len(data.VOCABULARY), length=data.LONGEST, width=64, layers=3, heads=4)
LESSONS = (  # first what opcodes do, mostly from right runs; then runs in which a mistake is as likely as not
    Lesson(right=0.6, marks=0.5, verdicts=1.0, steps=2500),
    Lesson(right=0.25, marks=0.5, verdicts=1.0, steps=2000),
)
DOCUMENTS, BATCH, RATE = 200_000, 64, 3e-3
WEIGHTS = Path(__file__).parent.parent / "weights"
LAST = True  # features of the last token, the end of the run


def path_of(seed: int) -> Path:
    return WEIGHTS / f"program-{seed}.safetensors"


def pretrain(seed: int, progress: Callable[[float], None] | None = None, *, steps: int | None = None,
             to: Path | None = None) -> None:
    """Train the student of `seed` and write its weights to `to` (default: where `encode` finds them). `steps`, if
    given, is the number of training steps of every lesson (tests)."""
    model = new_lm(CONFIG, seed)
    total, done = sum(lesson.steps for lesson in LESSONS), 0
    for number, lesson in enumerate(LESSONS):
        rows = data.documents(np.random.default_rng([seed, number]), DOCUMENTS if steps is None else 2_000, lesson)

        def report(share: float, before: int = done, here: int = lesson.steps) -> None:
            if progress is not None:
                progress((before + share * here) / total)

        train_lm(model, rows, steps or lesson.steps, BATCH, RATE, seed, report)
        done += lesson.steps
    save_lm(model, to or path_of(seed))


@cache
def _student(seed: int, untrained: bool) -> LM:
    return new_lm(CONFIG, 1000 + seed) if untrained else load_lm(path_of(seed), CONFIG)


def encode(inputs: NDArray[Any], student: int, *, untrained: bool = False) -> Encoded:
    """Features (n, 1, L, d) of the last token, log-probabilities and tokens (n, 1, T) of (n, 1) rows."""
    tokens = data.tokenise(inputs[:, 0])
    features, logprobs = encode_lm(_student(student, untrained), tokens, last=LAST)
    return Encoded(features[:, None], logprobs[:, None], tokens[:, None])
