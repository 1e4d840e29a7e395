"""The student: a small causal language model, pretrained on claimed runs in every opcode; its twin is untrained."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aarlab.kit.lm import LM, LMConfig, encode_lm, load_lm, new_lm, save_lm, train_lm
from aarlab.problems.w2s.program import data
from aarlab.problems.w2s.testbed import Encoded

CONFIG = LMConfig(vocab=len(data.VOCABULARY), length=data.LONGEST, width=64, layers=3, heads=4)
DOCUMENTS, STEPS, BATCH, RATE = 200_000, 2500, 64, 3e-3
WEIGHTS = Path(__file__).parent.parent / "weights"
LAST = False  # features are means over the tokens


def path_of(seed: int) -> Path:
    return WEIGHTS / f"program-{seed}.safetensors"


def pretrain(seed: int, progress: Callable[[float], None] | None = None, *, steps: int | None = None,
             to: Path | None = None) -> None:
    """Train the student of `seed` and write its weights to `to` (default: where `encode` finds them), in `steps`
    training steps (default STEPS; tests ask for a few)."""
    model = new_lm(CONFIG, seed)
    rows = data.documents(np.random.default_rng([seed, 0]), DOCUMENTS if steps is None else 2_000)
    train_lm(model, rows, STEPS if steps is None else steps, BATCH, RATE, seed, progress)
    save_lm(model, to or path_of(seed))


@cache
def _student(seed: int, untrained: bool) -> LM:
    return new_lm(CONFIG, 1000 + seed) if untrained else load_lm(path_of(seed), CONFIG)


def encode(inputs: NDArray[Any], student: int, *, untrained: bool = False) -> Encoded:
    """Features (n, 1, L, d), means over tokens, log-probabilities and tokens (n, 1, T) of (n, 1) rows."""
    tokens = data.tokenise(inputs[:, 0])
    features, logprobs = encode_lm(_student(student, untrained), tokens, last=LAST)
    return Encoded(features[:, None], logprobs[:, None], tokens[:, None])
