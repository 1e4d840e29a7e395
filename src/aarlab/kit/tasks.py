"""Every kind of task that a method can be given, by the name that `task.json` calls it.

This is the first thing that a sandboxed run imports: loaders must be light, numpy and nothing heavier.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aarlab.kit.debate import task as debate
from aarlab.kit.task import W2STask


class Task(Protocol):
    """What a method is given. Everything else about it is between its kind and the method."""

    def accept(self, output: Any) -> NDArray[np.float64]:
        """What the method returned as the numbers that go back to the lab. Raises `answers.Refused`."""


LOADERS: Mapping[str, Callable[[Path], Task]] = {"w2s": W2STask.load, "debate": debate.load}
