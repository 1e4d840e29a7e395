"""What a row looks like, without reading it: the part that every shortcut through the surface has in common."""

import re

import numpy as np
from numpy.typing import NDArray

PROPERTIES = ("ends", "begins", "marks", "longer")


def _kind(character: str) -> str:
    return "0" if character.isdigit() else "a" if character.isalpha() else character


def form(text: str, prop: str) -> str:
    """One property of one side as a word: how it ends, how it begins, its marks in order, or its length in words."""
    match prop:
        case "ends":
            return _kind(text[-1:])
        case "begins":
            return _kind(text[:1])
        case "marks":
            return re.sub(r"[\w\s]+", "", text)
    return f"{len(text.split()):03d}"


def keys(inputs: NDArray[np.str_], prop: str) -> NDArray[np.str_]:
    """(n, S) sides -> (n,) the cluster of each row: its form, or the two forms where two sides differ, else "same"."""
    sides = [[form(str(side), prop) for side in row] for row in inputs]
    if inputs.shape[1] == 1:
        return np.array([s[0] for s in sides])
    if prop == "longer":
        return np.array(["same" if a == b else "0" if a > b else "1" for a, b in sides])
    return np.array(["same" if a == b else f"{a}|{b}" for a, b in sides])
