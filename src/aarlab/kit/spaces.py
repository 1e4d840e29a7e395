"""Every space of methods that the kit knows, by the kind of task that its methods solve (kit/tasks.py).

A space is all that composes from a kind's blocks, as flat configurations. Who searches it, reads its cards, or needs
an honest method to start from reaches it here, and need not know which problem it serves.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from aarlab.kit import zoo
from aarlab.kit.debate import space
from aarlab.kit.trials import Trial

Traits = Mapping[str, Any]


class Space(Protocol):
    """A space of methods; a configuration is whatever the space makes of choices, and nobody else looks inside."""

    @property
    def BASELINES(self) -> Mapping[str, Any]:
        """The untuned baselines: configurations by name."""

    @property
    def FAMILIES(self) -> Mapping[str, Sequence[str]]:
        """Families of methods, and what marks a method as one of theirs."""

    @property
    def TRIVIAL(self) -> str:
        """The text of the least method.py that is valid on every task of the kind, whatever it scores."""

    def suggest(self, trial: Trial, family: str | None, traits: Traits, /) -> Any:
        """A configuration from anything with Optuna's suggest methods; with `family`, one of that family. Only what
        is `applicable` is offered. Raises ValueError for an unknown family."""

    def sample(self, rng: np.random.Generator, family: str | None, traits: Traits, /) -> Any:
        """A random configuration: the control of every guided search."""

    def applicable(self, config: Any, traits: Traits, /) -> bool:
        """Whether the configuration can run on a testbed of such traits."""

    def source(self, config: Any, /) -> str:
        """The text of its method.py."""

    def card(self, config: Any, why: str, forecast: tuple[float, float, float], /) -> str:
        """The text of its card.toml. forecast: effect on gap recovered against the best known, and its 90% interval's
        ends."""

    def family(self, config: Any, /) -> str: ...
    def what(self, config: Any, /) -> str:
        """One sentence that says what the method does."""

    def read_card(self, card: str, /) -> Any:
        """The configuration that a card describes by its words or its table; None if it does not say enough."""

    def plant_card(self, card: str, seed: int, /) -> str | None:
        """The card with one fact made false, and everything else in keeping; None if no fact is found in it."""

    def texts(self) -> Sequence[str]:
        """Programs that everybody who writes such methods has read: the kit and the baselines, the commonest last."""


SPACES: Mapping[str, Space] = {"w2s": zoo, "debate": space}
