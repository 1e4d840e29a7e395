"""Debate (Irving, Christiano & Amodei 2018) as a game of evidence, on images and on text. See README.md here."""

from importlib import import_module
from pathlib import Path

from aarlab.problems.debate.problem import Debate


def load(name: str, store: Path | None = None) -> Debate:
    """Open the testbed `debate/NAME`; `store` is the vault's folder for sealed draws (None: practice only). What comes
    after a hyphen is a variant of the same package: `digits-6`."""
    plain = name.removeprefix("debate/")
    package = import_module(f"{__name__}.{plain.partition('-')[0]}")
    return Debate(package.TESTBEDS[plain], store)


__all__ = ["Debate", "load"]
