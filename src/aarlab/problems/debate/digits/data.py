"""Digits: real images, of which a judge sees a few pixels (the sparse-pixel game of Irving, Christiano & Amodei 2018).

The unit is the image. Units are split once, as many of every digit in each set; the rest train judges, and are
public. A concept turns and mirrors the images and renames the answers: `practice` leaves both as they are, so that
whoever learns what a 3 looks like in practice has learned nothing about answer 3 of a sealed set.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from aarlab.problems.debate.testbed import Cases, Draw
from aarlab.problems.draws import SETS, SetName
from aarlab.problems.images import Images, archive

SPLIT_SEED = 20267
PER_DIGIT = 25  # images of each digit in each of the four sets; the 797 left over train judges

Ints = NDArray[np.int64]


@lru_cache(maxsize=1)
def units() -> dict[str, Ints]:
    """Image numbers of each set and of `training`, split once for good, so that sets are equally hard: the images of
    a digit are sorted by how typical they are, and of every few in a row each set gets one by lot, training the rest.
    """
    images, digits = archive()
    flat, rng = images.reshape(len(images), -1), np.random.default_rng(SPLIT_SEED)
    means = np.stack([flat[digits == digit].mean(0) for digit in range(10)])
    far = np.linalg.norm(flat[:, None] - means[None], axis=2)
    own = far[np.arange(len(flat)), digits]
    far[np.arange(len(flat)), digits] = np.inf
    typical = far.min(1) - own
    parts: dict[str, list[Ints]] = {name: [] for name in (*SETS, "training")}
    for digit in range(10):
        mine = np.flatnonzero(digits == digit)
        for few in np.array_split(mine[np.argsort(typical[mine], kind="stable")], PER_DIGIT):
            dealt = rng.permutation(few)
            for i, name in enumerate(SETS):
                parts[name].append(dealt[i : i + 1])
            parts["training"].append(dealt[len(SETS) :])
    return {name: np.concatenate(found) for name, found in parts.items()}


def turned(images: Images, symmetry: int) -> Images:
    """(n, 8, 8) under one of the square's eight symmetries; 0 leaves them as they are."""
    mirrored = images.transpose(0, 2, 1) if symmetry >= 4 else images
    return np.ascontiguousarray(np.rot90(mirrored, symmetry % 4, axes=(1, 2)))


def cases(which: Ints, symmetry: int, names: Ints) -> Cases:
    """The images as cases; names: (10,) which answer each digit is called. Legal are the pixels that are not zero."""
    images, digits = archive()
    seen = turned(images[which], symmetry)
    flat = seen.reshape(len(which), -1)
    return Cases({"inputs": seen}, flat, flat > 0, names[digits[which]], which, np.zeros(len(which), bool))


def draw(set_name: SetName, rng: np.random.Generator) -> Draw:
    """The images of a set in random order, and those that train judges, under one concept."""
    plain = set_name == "practice"
    symmetry = 0 if plain else int(rng.integers(1, 8))
    names = np.arange(10) if plain else rng.permutation(10)
    concept = f"symmetry {symmetry}; digits 0 to 9 are called {', '.join(map(str, names))}"
    debated, training = (cases(rng.permutation(units()[part]), symmetry, names) for part in (set_name, "training"))
    return Draw(debated, training, concept)
