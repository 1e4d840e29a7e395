"""The student: a small causal LM on other people's homework, column by column, now and then with the marks on it.

After the pupil's initials a sum is read in columns, lowest first: upper digit, lower digit, claimed digit, then a
tick, a cross, or (not marked) a comma. Then the last carry and the end of the claim, a semicolon or a full stop, and
the verdict on the whole. Rows to encode are unmarked and stop before the verdict, so that right or wrong is latent:
the states must foresee ticks and verdict, while no token shows them.
"""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aarlab.kit.lm import LM, LMConfig, encode_lm, load_lm, new_lm, save_lm, train_lm
from aarlab.problems.w2s.arithmetic.data import (
    FREQUENT,
    INITIALS,
    LETTERS,
    ONE_COLUMN,
    PRETRAINING_BUCKETS,
    WIDTH,
    Ints,
    Sums,
    add,
    bucket,
    operands,
    read,
    unit_of,
)
from aarlab.problems.w2s.testbed import Encoded

COMMA, END, STOP, TICK, CROSS, LETTER = 11, 12, 13, 14, 15, 16  # after padding and ten digits
LENGTH = INITIALS + 4 * WIDTH + 3
CONFIG = LMConfig(vocab=LETTER + len(LETTERS), length=LENGTH, width=64, layers=3, heads=4)
STEPS, BATCH, RATE = 2200, 128, 3e-3
TWIN = 7_000  # added to a student's seed for its untrained twin

# The homework. Much of it is wrong, some mistakes are nearly as frequent as right digits, and its operands like
# some digits more than others: the log-probability of a claim is a poor guide to its truth.
DIGITS = (0.28, 0.13, 0.08, 0.06, 0.04, 0.21, 0.04, 0.04, 0.08, 0.04)
ALL_RIGHT, DIGIT_WRONG = 0.25, 0.65  # share of sums without mistake; share of wrong digits in the others
FREQUENT_WEIGHT = 8.0  # of a frequent kind of mistake, against 1 of a rare one
UNMARKED, STOPPED = 0.45, 0.1
RARE_LETTER = 0.04  # probability of each initial to be one of the rare half

WEIGHTS = Path(__file__).parent.parent / "weights"


def homework(rng: np.random.Generator, n: int, width: int) -> Ints:
    """(n, LENGTH) token rows of sums with operands of `width` digits, none of them in any set's buckets."""
    sums = add(operands(rng, n, width, DIGITS), operands(rng, n, width, DIGITS))
    if width == WIDTH:  # shorter sums are in no set
        while len(clash := np.flatnonzero(bucket(unit_of(sums)) >= PRETRAINING_BUCKETS)):
            again = add(operands(rng, len(clash), width, DIGITS), operands(rng, len(clash), width, DIGITS))
            for old, new in zip((sums.a, sums.b, sums.right, sums.carry),
                                (again.a, again.b, again.right, again.carry), strict=True):
                old[clash] = new
    careless = rng.random((n, 1)) > ALL_RIGHT
    slip = careless & (rng.random((n, width)) < DIGIT_WRONG)
    weights = np.array([FREQUENT_WEIGHT if kind in FREQUENT else 1.0 for kind in ONE_COLUMN])
    kinds = rng.choice(len(weights), (n, width), p=weights / weights.sum())
    claim = sums.right.copy()
    for i in range(width):
        for k, rule in enumerate(ONE_COLUMN.values()):
            rows = np.flatnonzero(slip[:, i] & (kinds[:, i] == k))
            claim[rows, i] = rule(sums.take(rows), np.full(len(rows), i), rng)
    wrong = claim != sums.right
    marks = np.where(wrong[:, :width], CROSS, TICK)
    marks[rng.random(n) < UNMARKED] = COMMA
    half = len(LETTERS) // 2
    pupil = rng.integers(0, half, (n, INITIALS)) + half * (rng.random((n, INITIALS)) < RARE_LETTER)
    tokens = lay_out(pupil, sums, claim, marks, rng.random(n) < STOPPED)
    tokens[:, INITIALS + 4 * width + 2] = np.where(wrong.any(1), CROSS, TICK)
    return tokens


def lay_out(pupil: Ints, sums: Sums, claim: Ints, marks: Ints, stopped: NDArray[np.bool_]) -> Ints:
    """(n, LENGTH) tokens up to the end of the claim; marks (n, w) follow the columns."""
    n, width = sums.a.shape
    tokens = np.zeros((n, LENGTH), np.int64)
    columns = np.stack([sums.a + 1, sums.b + 1, claim[:, :width] + 1, marks], axis=2)
    tokens[:, :INITIALS] = pupil + LETTER
    end = INITIALS + 4 * width
    tokens[:, INITIALS:end] = columns.reshape(n, 4 * width)
    tokens[:, end] = claim[:, width] + 1
    tokens[:, end + 1] = np.where(stopped, STOP, END)
    return tokens


def tokens_of(inputs: NDArray[Any]) -> Ints:
    """Rows (n, 1) of text -> (n, LENGTH - 1) tokens: unmarked, without a verdict."""
    pupil, a, b, claim, stopped = read(inputs)
    return lay_out(pupil, add(a, b), claim, np.full(a.shape, COMMA), stopped)[:, :-1]


def weights_path(seed: int) -> Path:
    return WEIGHTS / f"arithmetic-{seed}.safetensors"


def train(seed: int, steps: int = STEPS, progress: Callable[[float], None] | None = None) -> LM:
    """Pretrain a student from its seed on fresh homework, three tenths of it with shorter operands."""
    rng = np.random.default_rng([seed, 0x5375])
    n = steps * BATCH
    short = round(0.3 * n)
    rows = np.concatenate([homework(rng, short, WIDTH - 1), homework(rng, n - short, WIDTH)])
    model = new_lm(CONFIG, seed)
    train_lm(model, rows.astype(np.int16), steps, BATCH, RATE, seed, progress)
    return model


def pretrain(seed: int, progress: Callable[[float], None] | None = None) -> None:
    """Train a student and write its weights where `encode` finds them."""
    save_lm(train(seed, progress=progress), weights_path(seed))
    student.cache_clear()


@lru_cache(maxsize=8)
def student(seed: int, untrained: bool = False) -> LM:
    """A trained student, or its untrained twin. Raises FileNotFoundError where the weights are missing."""
    if untrained:
        model = new_lm(CONFIG, seed + TWIN)
        model.eval()
        return model
    return load_lm(weights_path(seed), CONFIG)


def encode(inputs: NDArray[Any], seed: int, untrained: bool = False) -> Encoded:
    """(n, 1) rows -> features (n, 1, L, d), means over tokens, log-probabilities and tokens (n, 1, T)."""
    tokens = tokens_of(inputs)
    features, logprobs = encode_lm(student(seed, untrained), tokens)
    return Encoded(features[:, None], logprobs[:, None], tokens[:, None].astype(np.int32))
