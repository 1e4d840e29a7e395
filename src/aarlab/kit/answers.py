"""What a method may answer: an array of numbers of known shape and bounds, or a refusal with a code."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# What may be said of a failed run, and the runner's exit status for it. The walls have words of their own besides.
CODES = {"raised": 10, "no_run": 11, "wrong_type": 12, "wrong_shape": 13, "not_finite": 14, "out_of_range": 15}


class Refused(Exception):
    """The method's output cannot be taken; `code` is one of CODES."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def numbers(output: Any, what: str, entry: str = "run") -> NDArray[np.float64]:
    """What `entry` returned as float64. `what`: what it must return, in words. Raises Refused."""
    if output is None:
        raise Refused("wrong_type", f"{entry} returned nothing; it must return {what}")
    try:
        return np.asarray(output, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise Refused("wrong_type", f"{entry} returned {type(output).__name__}, not an array of numbers") from error


def check(
    output: Any, shape: tuple[int, ...], low: float, high: float, what: str = "numbers", entry: str = "run"
) -> NDArray[np.float64]:
    """Validate what `entry` returned: finite numbers of that shape in [low, high]. Raises Refused."""
    values = numbers(output, what, entry)
    if values.shape != shape:
        raise Refused("wrong_shape", f"{entry} returned shape {values.shape}; expected {shape}, {what}")
    if not np.isfinite(values).all():
        count = int((~np.isfinite(values)).sum())
        raise Refused("not_finite", f"{count} of {values.size} values are NaN or infinite")
    if values.size and (values.min() < low or values.max() > high):
        reach = f"values reach from {values.min():g} to {values.max():g}"
        raise Refused("out_of_range", f"{reach}; they must lie in [{low:g}, {high:g}]")
    return values
