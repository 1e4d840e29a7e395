"""A tiny language: opcodes, programs, claimed runs with their author's signature, and the documents of pretraining.

A program is a start digit and opcodes; an opcode is one of six bijections of the digits (modulo 10). Opcodes come in
pairs of siblings, A and B, C and D, ..., that never agree. A claimed run gives every digit on the way; the mistake that
people make is to read one opcode as its sibling. Results are uniform for every opcode, right or wrong, so that no
part of a step short of the whole step (digit, opcode, digit) can tell whether it is right. A run is signed by a few
letters, some frequent in the documents and some rare: they say nothing about the run, but cost a language model more
than a wrong step does.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aarlab.problems.w2s.testbed import SETS, Draw, Labelled, SetName

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWX"
OPEN = ":="  # how a row begins: both mean the same; the knob `shortcut` is all that ever gives them a meaning
PLAIN, SIGNED, END = ",", ";", "."  # after a digit; before the signature; after it
HANDS = "abcdefghijklmnop"  # letters of signatures
VOCABULARY = "\0" + "0123456789" + LETTERS + OPEN + PLAIN + SIGNED + END + HANDS
NUMBER = {c: i for i, c in enumerate(VOCABULARY)}
LENGTHS = (1, 2, 3, 5, 6)  # opcodes of a program in the documents
ID_LENGTH, OOD_LENGTH = 5, 6  # opcodes of a row
SIGNATURE, ROW_SIGNATURE = 5, 1  # letters of the longest signature: in the documents, in rows
LONGEST = 3 + 3 * OOD_LENGTH + SIGNATURE + 1  # opening, start, ','; opcode, digit and ',' (or ';'); signature; end
FAMILIES: dict[str, tuple[int, ...]] = {"practice": (0, 1, 2, 3, 4, 5), "sealed": (6, 7, 8, 9, 10, 11)}
ROWS, OOD_ROWS = (1800, 5200, 2800), 1200  # teacher, pool and test; test of longer programs
FAMILY_HANDS = {"practice": HANDS[0:14:2], "sealed": HANDS[1:14:2]}  # frequent and rare letters in both
CONCEPT_HANDS = 6  # letters that sign the rows of one concept
CONCEPT_PAIRS = 4  # pairs of opcodes that the programs of one concept are written in

OPERATIONS = ("x+1", "x+3", "x-2", "9-x", "7-x", "4-x")
_X = np.arange(10)
_RESULTS = np.stack([_X + 1, _X + 3, _X - 2, 9 - _X, 7 - _X, 4 - _X]) % 10
# Siblings are two shifts or two reflections; in each family every such pair occurs once, in another order.
MEANING: Ints = np.array([0, 1, 3, 4, 1, 2, 4, 5, 2, 0, 5, 3, 5, 4, 2, 1, 3, 5, 0, 2, 1, 0, 4, 3])
TABLE: Ints = _RESULTS[MEANING]  # (24, 10): opcode, digit -> digit
# How likely the documents are to slip at an opcode: a slip costs 2.3 to 4.6 nats.
RISK = 10 ** -np.random.default_rng(7).uniform(1, 2, len(LETTERS))
# How frequent a letter is in the documents' signatures: from 1.0 nat for the first letter to 7.8 for the last.
FREQUENCY = np.exp(-0.45 * np.arange(len(HANDS)))
FREQUENCY = FREQUENCY / FREQUENCY.sum()


@dataclass(frozen=True)
class Runs:
    """n claimed runs of K opcodes. ops: (n, K); digits: (n, K+1); slip: (n,) step of the mistake, -1 if the
    run is right; opening: (n,) 0 or 1; signature: (n,) strings."""

    ops: Ints
    digits: Ints
    slip: Ints
    opening: Ints
    signature: NDArray[np.str_]


def unit_of(ops: Ints, start: Ints) -> Ints:
    """(n,) one number for every program: start digit and opcodes, lengths kept apart."""
    code = start + 10
    for k in range(ops.shape[1]):
        code = code * len(LETTERS) + ops[:, k]
    return code


def home_of(unit: Ints) -> Ints:
    """(n,) to whom a program belongs, for ever: 0 the documents (60%), 1 to 4 the sets in the order of SETS."""
    h = unit.astype(np.uint64)
    h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)  # splitmix64's finaliser
    h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    h = (h ^ (h >> np.uint64(31))) % np.uint64(10)
    return np.maximum(h.astype(np.int64) - 5, 0)


def execute(ops: Ints, start: Ints, slips: Bools) -> Ints:
    """Digits of a run (n, K+1). Where `slips` (n, K) is set, an opcode is read as its sibling; the run goes on from
    the wrong digit."""
    digits = [start]
    for k in range(ops.shape[1]):
        digits.append(TABLE[ops[:, k] ^ slips[:, k], digits[-1]])
    return np.stack(digits, 1)


def signatures(rng: np.random.Generator, hands: str, n: int) -> NDArray[np.str_]:
    """(n,) of 0 to ROW_SIGNATURE letters, every number and every letter of `hands` equally often."""
    letters = rng.choice(np.array(list(hands)), (n, SIGNATURE))
    return np.array(["".join(row[:k]) for row, k in zip(letters, rng.integers(0, ROW_SIGNATURE + 1, n), strict=True)])


def claimed_runs(rng: np.random.Generator, pairs: NDArray[np.integer], hands: str, length: int, n: int,
                 set_name: SetName, shortcut: float) -> Runs:
    """n runs of distinct programs that belong to the set, in the opcodes of `pairs`, signed in letters of `hands`;
    every other one is right, and a mistake is at each step equally often. With probability `shortcut` the opening
    tells the truth, else it is drawn at random."""
    m = 12 * n + 1000
    start = rng.integers(0, 10, m)
    ops = 2 * rng.choice(pairs, (m, length)) + rng.integers(0, 2, (m, length))
    unit = unit_of(ops, start)
    mine = np.flatnonzero(home_of(unit) == 1 + SETS.index(set_name))
    mine = mine[np.sort(np.unique(unit[mine], return_index=True)[1])][:n]
    if len(mine) < n:
        raise ValueError(f"{n} rows asked for, only {len(mine)} programs found")
    slip = np.where(np.arange(n) % 2 == 0, -1, (np.arange(n) // 2) % length)
    slip = slip[rng.permutation(n)]
    opening = np.where(rng.random(n) < shortcut, (slip < 0).astype(np.int64), rng.integers(0, 2, n))
    digits = execute(ops[mine], start[mine], slip[:, None] == np.arange(length))
    return Runs(ops[mine], digits, slip, opening, signatures(rng, hands, n))


def texts(runs: Runs) -> NDArray[np.str_]:
    """(n,) rows as text, such as ':3,F5,A0,C2,B9;kga.': opening, start digit, every opcode and its digit, signature,
    end."""
    letters, digits = np.array(list(LETTERS))[runs.ops], np.array(list("0123456789"))[runs.digits]
    columns = [np.array(list(OPEN))[runs.opening], digits[:, 0]]
    for k in range(runs.ops.shape[1]):
        columns += [np.full(len(letters), PLAIN), letters[:, k], digits[:, k + 1]]
    run = ("".join(row) for row in np.stack(columns, 1))
    return np.array([row + SIGNED + signed + END for row, signed in zip(run, runs.signature, strict=True)])


def tokenise(rows: NDArray[np.str_], length: int = LONGEST) -> NDArray[np.int32]:
    """(n,) texts -> (n, length) token numbers, one a character, 0 after the end. Raises ValueError on a character
    that the language lacks and on a row that is too long."""
    out = np.zeros((len(rows), length), np.int32)
    for i, row in enumerate(rows):
        if len(row) > length:
            raise ValueError(f"row {i} has {len(row)} characters; at most {length} are read")
        try:
            out[i, : len(row)] = [NUMBER[c] for c in row]
        except KeyError as error:
            raise ValueError(f"row {i}: {error.args[0]!r} is no character of the tiny language") from None
    return out


def documents(rng: np.random.Generator, n: int) -> NDArray[np.int32]:
    """(about n, T) token rows: signed runs of the documents' own programs, in every opcode, length and letter. Each
    opcode slips on its own (RISK), each letter of a signature is drawn on its own (FREQUENCY)."""
    parts: list[NDArray[np.int32]] = []
    for length in LENGTHS:
        m = n // len(LENGTHS)  # programs may recur: short ones are few, and no row is that short
        ops, start = rng.integers(0, len(LETTERS), (m, length)), rng.integers(0, 10, m)
        mine = (home_of(unit_of(ops, start)) == 0) | (length < 3)
        ops, start = ops[mine], start[mine]
        m = len(start)
        digits = execute(ops, start, rng.random((m, length)) < RISK[ops])
        out = np.zeros((m, LONGEST), np.int32)
        out[:, 0] = NUMBER[OPEN[0]] + rng.integers(0, 2, m)
        out[:, 1], out[:, 2] = NUMBER["0"] + digits[:, 0], NUMBER[PLAIN]
        for k in range(length):
            out[:, 3 * k + 3], out[:, 3 * k + 4] = NUMBER["A"] + ops[:, k], NUMBER["0"] + digits[:, k + 1]
            out[:, 3 * k + 5] = NUMBER[SIGNED] if k == length - 1 else NUMBER[PLAIN]
        signed = rng.integers(0, SIGNATURE + 1, m)
        for k in range(SIGNATURE + 1):
            letter = NUMBER["a"] + rng.choice(len(HANDS), m, p=FREQUENCY)
            out[:, 3 * length + 3 + k] = np.where(k < signed, letter, np.where(k == signed, NUMBER[END], 0))
        parts.append(out)
    return rng.permutation(np.concatenate(parts))


def labelled(runs: Runs) -> Labelled:
    """Rows with their truth, in distribution unless longer than ID_LENGTH."""
    n, length = runs.ops.shape
    ood = np.full(n, length > ID_LENGTH)
    return Labelled(texts(runs)[:, None], (runs.slip < 0).astype(np.int8), unit_of(runs.ops, runs.digits[:, 0]), ood)


def draw(set_name: SetName, rng: np.random.Generator, shortcut: float = 0.0) -> Draw:
    """Draw a concept (which pairs of opcodes the programs are written in, which letters sign them) and its rows.
    Raises ValueError unless 0 <= shortcut <= 1."""
    if not 0.0 <= shortcut <= 1.0:
        raise ValueError(f"shortcut is a probability between 0 and 1, not {shortcut}")
    family = "practice" if set_name == "practice" else "sealed"
    pairs = np.sort(rng.choice(np.array(FAMILIES[family]), CONCEPT_PAIRS, replace=False))
    hands = "".join(np.sort(rng.choice(np.array(list(FAMILY_HANDS[family])), CONCEPT_HANDS, replace=False)))
    rows = labelled(claimed_runs(rng, pairs, hands, ID_LENGTH, sum(ROWS), set_name, shortcut))
    long = labelled(claimed_runs(rng, pairs, hands, OOD_LENGTH, OOD_ROWS, set_name, shortcut))
    teacher, pool, test = np.split(balanced_order(rows.y, ROWS), np.cumsum(ROWS)[:-1])
    near = rows.take(test)
    both = Labelled(*(np.concatenate([getattr(near, f), getattr(long, f)]) for f in ("inputs", "y", "unit", "ood")))
    used = " ".join(LETTERS[2 * p : 2 * p + 2] for p in pairs)
    return Draw(rows.take(teacher), rows.take(pool), both, f"programs in the opcodes {used}, signed in {hands}")


def balanced_order(y: NDArray[np.int8], sizes: tuple[int, ...]) -> Ints:
    """(n,) an order of the rows in which every consecutive part, of even size, is half y = 1: right, wrong, ...."""
    right, wrong = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
    parts, at = [], 0
    for size in sizes:
        half = size // 2
        parts.append(np.stack([right[at : at + half], wrong[at : at + half]], 1).ravel())
        at += half
    return np.concatenate(parts)


def scramble(inputs: NDArray[np.str_], rng: np.random.Generator) -> NDArray[np.str_]:
    """(n, 1) the same rows with their openings dealt anew."""
    openings = rng.permutation([str(t)[:1] for t in inputs[:, 0]])
    return np.array([[o + str(t)[1:]] for o, t in zip(openings, inputs[:, 0], strict=True)]).reshape(-1, 1)


def unmarked(inputs: NDArray[np.str_]) -> NDArray[np.str_]:
    """(n, 1) the same rows, all opened alike."""
    return np.array([[OPEN[0] + str(t)[1:]] for t in inputs[:, 0]]).reshape(-1, 1)
