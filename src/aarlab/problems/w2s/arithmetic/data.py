"""Sums and mistakes: how a row is made, which mistakes belong to which concept, which sums belong to which set.

Digits are arrays (n, w), lowest first; a claim has w + 1 digits, the last one 0 or 1. A mistake changes the claim in
the columns below the leading one, by a rule that maps uniform digits to uniform digits, and a right row is a sum in
which the mistake drawn for it could have been made: nothing but adding up tells right rows from wrong ones.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aarlab.problems.w2s.testbed import SETS, Draw, Labelled, SetName

Ints = NDArray[np.int64]

WIDTH = 4  # digits of an operand in every row
PARTS = ("teacher", "pool", "test")
SIZES: Mapping[str, int] = {"teacher": 600, "pool": 3300, "test": 4000}
OOD_SHARE = 0.3
PRETRAINING_BUCKETS = 8  # of all BUCKETS; every part of every set has one of the others
BUCKETS = PRETRAINING_BUCKETS + len(SETS) * len(PARTS)


@dataclass(frozen=True)
class Sums:
    """n sums. a, b: (n, w) operands; right: (n, w + 1) their sum; carry: (n, w + 1) carried into each column."""

    a: Ints
    b: Ints
    right: Ints
    carry: Ints

    def __len__(self) -> int:
        return len(self.a)

    def take(self, index: Ints) -> "Sums":
        return Sums(self.a[index], self.b[index], self.right[index], self.carry[index])


LETTERS = "abcdevwxyz"  # of pupils' initials; the second five are rare in pretraining text
INITIALS = 3

LOOKALIKE = np.array([9, 7, 4, 8, 2, 6, 5, 1, 3, 0])  # pairs that a careless reader exchanges

# What one mistake writes in column i (n,) in place of the right digit: rule(sums, i, rng) -> (n,) digits.
Rule = Callable[[Sums, Ints, np.random.Generator], Ints]


def _at(digits: Ints, i: Ints) -> Ints:
    return digits[np.arange(len(digits)), i]


def _neighbour(i: Ints) -> Ints:
    return np.where(i == 0, 1, i - 1)


ONE_COLUMN: Mapping[str, Rule] = {
    "upper operand's digit copied": lambda s, i, _: _at(s.a, i),
    "lower operand's digit copied": lambda s, i, _: _at(s.b, i),
    "off by five": lambda s, i, _: (_at(s.right, i) + 5) % 10,
    "look-alike digit": lambda s, i, _: LOOKALIKE[_at(s.right, i)],
    "subtracted": lambda s, i, _: (_at(s.a, i) - _at(s.b, i)) % 10,
    "carry dropped": lambda s, i, _: (_at(s.right, i) - _at(s.carry, i)) % 10,
    "carry invented": lambda s, i, _: (_at(s.right, i) + 1 - _at(s.carry, i)) % 10,
    "upper digit doubled": lambda s, i, _: (2 * _at(s.a, i) + _at(s.carry, i)) % 10,
    "column missed": lambda s, i, _: (_at(s.a, i) + _at(s.b, _neighbour(i)) + _at(s.carry, i)) % 10,
    "complement to nine": lambda s, i, _: 9 - _at(s.right, i),
    "near-random digit": lambda s, i, r: (_at(s.right, i) + r.integers(1, 10, len(s))) % 10,
}
NEVER_READ: Mapping[str, Rule] = {  # in no homework
    "off by one": lambda s, i, r: (_at(s.right, i) + r.choice([1, 9], len(s))) % 10,
}
RULES: Mapping[str, Rule] = {**ONE_COLUMN, **NEVER_READ}
EXCHANGED, SHIFTED = "digits exchanged", "places shifted"

# A concept is two mistakes that are frequent in pretraining text and two that are rare there. Doubling is in no
# concept: it leaves an even digit in the last column, which a reader who cannot add could notice.
PRACTICE_FREQUENT = ("upper operand's digit copied", "off by five")
PRACTICE_RARE = ("carry dropped", "complement to nine")
SEALED_FREQUENT = ("lower operand's digit copied", "look-alike digit", "subtracted")
SEALED_RARE = ("carry invented", "column missed", "off by one")
OOD_KINDS = (EXCHANGED, SHIFTED, "near-random digit")
FREQUENT = PRACTICE_FREQUENT + SEALED_FREQUENT


def add(a: Ints, b: Ints) -> Sums:
    """Add (n, w) digit by digit."""
    n, w = a.shape
    right, carry = np.zeros((n, w + 1), np.int64), np.zeros((n, w + 1), np.int64)
    for i in range(w):
        total = a[:, i] + b[:, i] + carry[:, i]
        right[:, i], carry[:, i + 1] = total % 10, total // 10
    right[:, w] = carry[:, w]
    return Sums(a, b, right, carry)


def mistaken(sums: Sums, kind: str, i: Ints, rng: np.random.Generator) -> Ints:
    """The claim (n, w + 1) that the mistake makes in column i; some rules leave some sums right."""
    claim, row = sums.right.copy(), np.arange(len(sums))
    if kind == EXCHANGED:
        j = _neighbour(i)
        claim[row, i], claim[row, j] = sums.right[row, j], sums.right[row, i]
    elif kind == SHIFTED:
        claim[:, :3] = sums.right[:, [1, 2, 0]]
    else:
        claim[row, i] = RULES[kind](sums, i, rng)
    return claim


def concept(set_name: SetName, rng: np.random.Generator) -> tuple[str, ...]:
    """The four kinds of mistake of a set: fixed for practice, drawn for a sealed set from a disjoint family."""
    if set_name == "practice":
        return PRACTICE_FREQUENT + PRACTICE_RARE
    frequent = rng.permutation(len(SEALED_FREQUENT))[:2]
    rare = rng.permutation(len(SEALED_RARE))[:2]
    return tuple([SEALED_FREQUENT[k] for k in frequent] + [SEALED_RARE[k] for k in rare])


def bucket(unit: Ints) -> Ints:
    """Which part of the world a sum belongs to, by a fixed hash of its operands: 0 .. BUCKETS - 1."""
    mixed = unit.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return ((mixed >> np.uint64(33)) % np.uint64(BUCKETS)).astype(np.int64)


def bucket_of(set_name: SetName, part: str) -> int:
    return PRETRAINING_BUCKETS + SETS.index(set_name) * len(PARTS) + PARTS.index(part)


def operands(rng: np.random.Generator, n: int, width: int, weights: Sequence[float] | None = None) -> Ints:
    """(n, width) digits, the leading one not 0; uniform, or with the ten digits' weights."""
    p = np.full(10, 0.1) if weights is None else np.asarray(weights, float) / np.sum(weights)
    digits = rng.choice(10, size=(n, width), p=p)
    leading = np.r_[0.0, p[1:]]
    digits[:, -1] = rng.choice(10, size=n, p=leading / leading.sum())
    return digits.astype(np.int64)


def unit_of(sums: Sums) -> Ints:
    """(n,) one number per pair of operands."""
    place = 10 ** np.arange(sums.a.shape[1])
    return np.asarray(sums.a @ place * 10 ** sums.a.shape[1] + sums.b @ place, np.int64)


def initials(rng: np.random.Generator, n: int) -> Ints:
    """(n, INITIALS) letter numbers: of half of the pupils all are frequent letters, of the others all are rare."""
    half = len(LETTERS) // 2
    return rng.integers(0, half, (n, INITIALS)) + half * rng.integers(0, 2, (n, 1))


def write(pupil: Ints, sums: Sums, claim: Ints, marked: NDArray[np.bool_]) -> NDArray[np.str_]:
    """(n, 1) rows as a person writes them: "dab: 4721+3865=8586", with a full stop after it where marked."""
    place = 10 ** np.arange(claim.shape[1])
    a, b, c = sums.a @ place[:-1], sums.b @ place[:-1], claim @ place
    who = ["".join(LETTERS[k] for k in row) for row in pupil]
    return np.array(
        [[f"{w}: {x}+{y}={z}{'.' * bool(m)}"] for w, x, y, z, m in zip(who, a, b, c, marked, strict=True)]
    )


def read(inputs: NDArray[np.str_]) -> tuple[Ints, Ints, Ints, Ints, NDArray[np.bool_]]:
    """Rows (n, 1) -> initials (n, INITIALS), operands (n, w), (n, w), claim (n, w + 1), marked (n,)."""
    texts = [str(row[0]) for row in inputs]
    marked = np.array([t.endswith(".") for t in texts], bool)
    pupil = np.array([[LETTERS.index(letter) for letter in t[:INITIALS]] for t in texts])
    sums = [t[INITIALS + 1 :].rstrip(".").replace("+", "=").split("=") for t in texts]
    numbers = np.array(sums).astype(np.int64)
    place = 10 ** np.arange(WIDTH + 1)
    digits = numbers.reshape(-1, 3, 1) // place % 10
    return pupil, digits[:, 0, :WIDTH], digits[:, 1, :WIDTH], digits[:, 2], marked


def _part(set_name: SetName, part: str, kinds: Sequence[str], rng: np.random.Generator, n: int, shortcut: float,
          ood: bool = False, taken: Ints | None = None) -> Labelled:
    """n rows, half of them right; kinds and columns are drawn with equal chances; no unit twice, none of `taken`."""
    here = bucket_of(set_name, part)
    sums = add(np.zeros((0, WIDTH), np.int64), np.zeros((0, WIDTH), np.int64))
    claim, kept = np.zeros((0, WIDTH + 1), np.int64), np.zeros(0, np.int64) if taken is None else taken
    need = {1: (n + 1) // 2, 0: n // 2}
    labels = np.zeros(0, np.int64)
    while any(need.values()):
        found = add(operands(rng, 2 * n * BUCKETS, WIDTH), operands(rng, 2 * n * BUCKETS, WIDTH))
        unit = unit_of(found)
        fresh = np.flatnonzero((bucket(unit) == here) & ~np.isin(unit, kept))
        fresh = fresh[np.sort(np.unique(unit[fresh], return_index=True)[1])]
        found, y = found.take(fresh), np.arange(len(fresh)) % 2
        made, kind = found.right.copy(), rng.integers(0, len(kinds), len(fresh))
        column = rng.integers(0, WIDTH - 1, len(fresh))
        for k, name in enumerate(kinds):
            rows = np.flatnonzero(kind == k)
            made[rows] = mistaken(found.take(rows), name, column[rows], rng)
        usable = (made != found.right).any(1)
        made[y == 1] = found.right[y == 1]
        for label in (0, 1):
            rows = np.flatnonzero(usable & (y == label))[: need[label]]
            need[label] -= len(rows)
            sums = Sums(*(np.concatenate([getattr(sums, f), getattr(found, f)[rows]])
                          for f in ("a", "b", "right", "carry")))
            claim, labels = np.concatenate([claim, made[rows]]), np.r_[labels, y[rows]]
            kept = np.r_[kept, unit_of(found)[rows]]
    order = rng.permutation(n)
    sums, claim, labels = sums.take(order), claim[order], labels[order]
    marked = (labels == 1) & (rng.random(n) < shortcut)
    text = write(initials(rng, n), sums, claim, marked)
    return Labelled(text, labels.astype(np.int8), unit_of(sums), np.full(n, ood))


def draw(set_name: SetName, rng: np.random.Generator, shortcut: float = 0.0) -> Draw:
    """Fresh sums of a set. Teacher and pool are in distribution; OOD_SHARE of the test has kinds of mistake that
    neither a teacher nor a pool ever holds. With `shortcut` s, that share of the right rows ends with a full stop.

    Raises ValueError for a shortcut outside [0, 1].
    """
    if not 0.0 <= shortcut <= 1.0:
        raise ValueError(f"shortcut {shortcut} is not in [0, 1]")
    kinds = concept(set_name, rng)
    n_ood = round(SIZES["test"] * OOD_SHARE)
    teacher = _part(set_name, "teacher", kinds, rng, SIZES["teacher"], shortcut)
    pool = _part(set_name, "pool", kinds, rng, SIZES["pool"], shortcut)
    inside = _part(set_name, "test", kinds, rng, SIZES["test"] - n_ood, shortcut)
    outside = _part(set_name, "test", OOD_KINDS, rng, n_ood, shortcut, ood=True, taken=inside.unit)
    test = Labelled(*(np.concatenate([getattr(inside, f), getattr(outside, f)])
                      for f in ("inputs", "y", "unit", "ood")))
    return Draw(teacher, pool, test, "mistakes: " + ", ".join(kinds))


def scramble(inputs: NDArray[np.str_], rng: np.random.Generator) -> NDArray[np.str_]:
    """(n, 1) the same sums with the full stops dealt anew over the rows."""
    marked = rng.permutation([str(t).endswith(".") for t in inputs[:, 0]])
    rows = [[str(t).rstrip(".") + "." * bool(m)] for t, m in zip(inputs[:, 0], marked, strict=True)]
    return np.array(rows).reshape(-1, 1)


def unmarked(inputs: NDArray[np.str_]) -> NDArray[np.str_]:
    """(n, 1) the same sums without full stops."""
    return np.array([[str(t).rstrip(".")] for t in inputs[:, 0]]).reshape(-1, 1)
