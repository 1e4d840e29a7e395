"""The red team: researchers of kind `attacker`, the controls of everything that the lab claims to defend.

A class of attacks is a program, CLASS.py, which runs inside a sandbox as `CLASS.py WORKSPACE ATTACK` and sees the kit
alone (and, at /agent/methods, the programs that it builds from), and CLASS.toml, which says of each attack what it
tries and which defences stop it.
"""

import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

METHODS = Path(str(resources.files(__package__).joinpath("methods")))  # what attackers build from, mounted beside them
CLASSES = ("statistical", "smuggling", "shortcut", "sabotage", "sandbox", "record")


@dataclass(frozen=True)
class Attack:
    """defences: what stops it, by name; with those off it succeeds (tests/campaign/redteam shows it). An attack that
    the kernel refuses in any case lists "kernel". kinds: of the problems against which it means anything (as a task
    folder calls them), empty for all; a class's file may name them once for all its attacks. `options`: what only its
    own class reads."""

    name: str
    kind: str  # one of CLASSES
    what: str
    defences: tuple[str, ...]
    kinds: tuple[str, ...]
    options: dict[str, Any]


def program(kind: str) -> Path:
    """The program of a class of attacks."""
    return Path(str(resources.files(__package__).joinpath(f"{kind}.py")))


def load() -> dict[str, Attack]:
    """Every attack by name, class after class."""
    found: dict[str, Attack] = {}
    for kind in CLASSES:
        file = resources.files(__package__).joinpath(f"{kind}.toml")
        if not file.is_file():
            continue
        said = tomllib.loads(file.read_text())
        for entry in said["attack"]:
            name, what, defences = entry.pop("name"), entry.pop("what"), tuple(entry.pop("defences"))
            kinds = tuple(entry.pop("kinds", said.get("kinds", ())))
            found[name] = Attack(name, kind, what, defences, kinds, entry)
    return found
