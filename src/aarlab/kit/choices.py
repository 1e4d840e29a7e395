"""What every space of methods has in common: a configuration as a flat set of choices, how a trial makes one, and how
it is written on a card or into a program (kit/spaces.py)."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self

from aarlab.kit.trials import Trial

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Choices:
    """A configuration: choices by name; what is left out takes its default. Equal choices are equal configurations,
    whatever their order. Raises ValueError for a choice that means nothing."""

    choices: Mapping[str, Value]

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", MappingProxyType(dict(sorted(self.choices.items()))))
        self.check()

    def check(self) -> None:
        """Raises ValueError, naming what is known, for a choice that means nothing."""

    def __hash__(self) -> int:
        return hash(self.json())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self.json() == other.json()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self.choices),)

    def asdict(self) -> dict[str, Value]:
        return dict(self.choices)

    def json(self) -> str:
        return json.dumps(self.asdict(), sort_keys=True)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `json` wrote."""
        return cls(json.loads(text))

    @property
    def tag(self) -> str:
        """A short hash that tells configurations of one name apart."""
        return hashlib.sha256(self.json().encode()).hexdigest()[:6]

    def parameters(self, stage: str) -> dict[str, Any]:
        """Arguments of one stage: what is chosen under `stage.NAME`."""
        return {k.partition(".")[2]: v for k, v in self.choices.items() if k.startswith(stage + ".")}


def choose(trial: Trial, name: str, spec: tuple[Any, ...]) -> Any:
    """One choice of a trial. spec: ("one of", ...), ("float"|"log", low, high) or ("int", low, high)."""
    kind, *rest = spec
    if kind == "one of":
        return trial.suggest_categorical(name, tuple(rest))
    if kind == "int":
        return trial.suggest_int(name, *rest)
    value = trial.suggest_float(name, *rest, log=kind == "log")
    return float(f"{value:.3g}")  # three digits read well in a method.py and tune as well as sixteen


def call(name: str, first: str, arguments: Mapping[str, Any]) -> str:
    """The text of a call, in the body of a function; on several lines where it is long."""
    given = [first, *(f"{k}={v!r}" for k, v in arguments.items())]
    line = f"{name}({', '.join(given)})"
    return line if len(line) < 85 else f"{name}(\n" + "".join(f"        {a},\n" for a in given) + "    )"


def card(name: str, what: str, why: str, family: str, forecast: tuple[float, float, float]) -> str:
    """The text of card.toml. forecast: effect on gap recovered against the best known, and its 90% interval's ends.

    Raises ValueError unless low <= effect <= high.
    """
    effect, low, high = (float(v) for v in forecast)
    if not low <= effect <= high:
        raise ValueError(f"a forecast needs low <= effect <= high, not {low}, {effect}, {high}")
    fields = {"name": name, "what": what, "why": why, "family": family}
    lines = [f"{k} = {quoted(v)}" for k, v in fields.items()]
    return "\n".join([*lines, "", "[forecast]", f"effect = {effect!r}", f"low = {low!r}", f"high = {high!r}", ""])


def table(config: Choices) -> str:
    """A configuration as the table of a card. TOML knows no None: what is None is left out, and is None by default."""
    lines = [
        f"{quoted(k)} = {quoted(v) if isinstance(v, str) else json.dumps(v)}"
        for k, v in config.choices.items()
        if v is not None
    ]
    return "\n".join(["", "[choices]", *lines, ""])


def told(card: Mapping[str, Any], config: Choices, what: str) -> str:
    """A card that says of a configuration what `card` said of another: its name, a sentence, a table if it had one."""
    text = f"name = {quoted(str(card.get('name', '')))}\nwhat = {quoted(what)}\n"
    return text + (table(config) if "choices" in card else "")


def quoted(text: str) -> str:
    """A JSON string is a TOML basic string but for the delete character, and TOML knows no lone surrogates."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f").encode(errors="replace").decode()
