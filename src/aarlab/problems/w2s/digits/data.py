"""Displaced digits: units, digit sets, rows.

A row is one view of a real image: the digit turned, scaled and laid off the middle of a larger canvas, in
noise; out of distribution also thicker and with a fragment of another digit (after the cluttered translated
MNIST of Mnih et al. 2014). The unit is the image, whatever the number of its views.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from aarlab.problems.images import Images, archive
from aarlab.problems.w2s.testbed import SETS, Draw, Labelled, SetName

CANVAS = 12
SIDE = 8
SPLIT_SEED = 20260
PER_DIGIT = 32  # images of each digit in each of the four sets; the 517 left over are for pretraining
UNITS = {"teacher": 80, "pool": 110, "test": 130}  # images of each part: all 320 of a set
TEACHER_VIEWS, POOL_VIEWS, TEST_VIEWS, OOD_VIEWS = 8, 12, 5, 2

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Look:
    """How views are made. turn: degrees, either way; scale: smallest and largest; shift: furthest from the
    middle, in pixels; clutter: fragments; thick: how bright a stroke's widened edge is, as a share of the
    stroke; contrast: smallest factor on the digit; noise: standard deviation (intensities lie in [0, 1])."""

    turn: float = 10.0
    scale: tuple[float, float] = (0.9, 1.1)
    shift: float = 1.5
    clutter: int = 0
    thick: float = 0.0
    contrast: float = 0.8
    noise: float = 0.05


USUAL = Look()
UNUSUAL = Look(turn=15.0, shift=2.0, clutter=1, thick=0.3, noise=0.1)


@lru_cache(maxsize=1)
def units() -> dict[str, Ints]:
    """Image numbers of `pretrain` and of each set, split once for good; a set has as many of every digit."""
    digits = archive()[1]
    order = np.random.default_rng(SPLIT_SEED).permutation(len(digits))
    by_digit = [order[digits[order] == digit] for digit in range(10)]
    parts: dict[str, Ints] = {
        name: np.concatenate([of[i * PER_DIGIT : (i + 1) * PER_DIGIT] for of in by_digit])
        for i, name in enumerate(SETS)
    }
    return parts | {"pretrain": np.concatenate([of[len(SETS) * PER_DIGIT :] for of in by_digit])}


@lru_cache(maxsize=1)
def families() -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]:
    """Digit sets of practice and of the sealed sets: five digits of ten each.

    A set and its complement pose the same question, so a family lists the sets with a 0 in them, and `draw`
    takes either side. Every sealed set shares two or three digits with every practice set: their labels agree
    on four or six digits of ten, so that a practice concept says next to nothing about a sealed one.
    """
    halves = [(0, *rest) for rest in combinations(range(1, 10), 4)]
    practice: list[tuple[int, ...]] = []
    sealed = halves
    for i in np.random.default_rng(SPLIT_SEED).permutation(len(halves)):
        left = [s for s in sealed if len(set(s) & set(halves[i])) in (2, 3)]
        if len(left) >= 12 and len(practice) < 12:
            practice.append(halves[i])
            sealed = left
    return tuple(practice), tuple(sealed)


def views(images: Images, look: Look, rng: np.random.Generator) -> Images:
    """(n, 8, 8) images -> one view of each, (n, 12, 12) in [0, 1]."""
    n = len(images)
    if look.thick:
        padded = np.pad(images, ((0, 0), (1, 1), (1, 1)))
        beside = [padded[:, :-2, 1:-1], padded[:, 2:, 1:-1], padded[:, 1:-1, :-2], padded[:, 1:-1, 2:]]
        images = np.maximum(images, look.thick * np.max(beside, axis=0))
    angle = np.deg2rad(rng.uniform(-look.turn, look.turn, n))[:, None, None]
    size = rng.uniform(*look.scale, n)[:, None, None]
    centre = CANVAS / 2 - 0.5 + rng.uniform(-look.shift, look.shift, (2, n))[..., None, None]
    y, x = np.mgrid[:CANVAS, :CANVAS].astype(np.float64)
    y, x = (y[None] - centre[0]) / size, (x[None] - centre[1]) / size
    where = np.stack(
        [
            np.broadcast_to(np.arange(n)[:, None, None], y.shape),
            np.cos(angle) * y - np.sin(angle) * x + SIDE / 2 - 0.5,
            np.sin(angle) * y + np.cos(angle) * x + SIDE / 2 - 0.5,
        ]
    )
    # whole numbers on the first axis, so that images never mix; outside an image lies black
    canvas = map_coordinates(images, where, order=1, mode="constant").astype(np.float32)
    canvas *= rng.uniform(look.contrast, 1.0, n)[:, None, None]
    _scatter(canvas, look.clutter, rng)
    canvas += look.noise * rng.standard_normal(canvas.shape)
    out: Images = np.clip(canvas, 0, 1).astype(np.float32)
    return out


def _scatter(canvas: Images, pieces: int, rng: np.random.Generator) -> None:
    """Lay 3x3 fragments of pretraining images, so of no set's units, on (n, 12, 12); the brighter wins."""
    n = len(canvas)
    source = archive()[0][units()["pretrain"]]
    every, down, right = np.arange(n)[:, None, None], np.arange(3)[:, None], np.arange(3)
    for _ in range(pieces):
        which = rng.integers(0, len(source), n)
        sy, sx = rng.integers(1, SIDE - 3, (2, n))
        ty, tx = rng.integers(0, CANVAS - 2, (2, n))
        sy, sx, ty, tx = (a[:, None, None] for a in (sy, sx, ty, tx))
        patch = source[which[:, None, None], sy + down, sx + right]
        at = (every, ty + down, tx + right)
        canvas[at] = np.maximum(canvas[at], 0.9 * patch)


def _rows(chosen: Ints, wanted: tuple[int, ...], looks: list[Look], rng: np.random.Generator) -> Labelled:
    """One view of every chosen unit for each look, shuffled."""
    images, digits = archive()
    inputs = np.concatenate([views(images[chosen], look, rng) for look in looks])[:, None]
    unit = np.tile(chosen, len(looks))
    y = np.isin(digits[unit], wanted).astype(np.int8)
    ood = np.repeat([look is UNUSUAL for look in looks], len(chosen))
    return Labelled(inputs, y, unit, ood).take(rng.permutation(len(unit)))


def draw(set_name: SetName, rng: np.random.Generator) -> Draw:
    """Teacher, pool and test of one set. Each part has as many images of one class as of the other, and each
    image as many views as any other, so the classes are balanced in and out of distribution alike."""
    practice, sealed = families()
    family = practice if set_name == "practice" else sealed
    wanted = family[rng.integers(len(family))]
    if rng.random() < 0.5:
        wanted = tuple(sorted(set(range(10)) - set(wanted)))
    mine = rng.permutation(units()[set_name])
    inside = np.isin(archive()[1][mine], wanted)
    sides = [mine[inside], mine[~inside]]
    chosen, start = {}, 0
    for part, count in UNITS.items():
        chosen[part] = np.concatenate([side[start : start + count // 2] for side in sides])
        start += count // 2
    return Draw(
        teacher=_rows(chosen["teacher"], wanted, [USUAL] * TEACHER_VIEWS, rng),
        pool=_rows(chosen["pool"], wanted, [USUAL] * POOL_VIEWS, rng),
        test=_rows(chosen["test"], wanted, [USUAL] * TEST_VIEWS + [UNUSUAL] * OOD_VIEWS, rng),
        concept="one of the digits " + ", ".join(map(str, wanted)),
    )
