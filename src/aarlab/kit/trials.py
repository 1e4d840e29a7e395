"""Who chooses a configuration of a space: Optuna's trials, or dice. Optuna itself is not imported here."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


class Trial(Protocol):
    """What `suggest` asks of a trial: Optuna's own, or `RandomTrial`."""

    def suggest_categorical(self, name: str, choices: Any, /) -> Any: ...

    def suggest_float(self, name: str, low: float, high: float, /, *, log: bool = False) -> float: ...

    def suggest_int(self, name: str, low: int, high: int, /) -> int: ...


@dataclass(frozen=True)
class RandomTrial:
    """Uniform choices from a generator."""

    rng: np.random.Generator

    def suggest_categorical(self, name: str, choices: Any, /) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def suggest_float(self, name: str, low: float, high: float, /, *, log: bool = False) -> float:
        if log:
            return float(np.exp(self.rng.uniform(np.log(low), np.log(high))))
        return float(self.rng.uniform(low, high))

    def suggest_int(self, name: str, low: int, high: int, /) -> int:
        return int(self.rng.integers(low, high + 1))
