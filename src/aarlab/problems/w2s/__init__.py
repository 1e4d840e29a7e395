"""Weak-to-strong supervision (Burns et al. 2023): four testbeds with real trained models. See README.md here."""

from importlib import import_module
from pathlib import Path

from aarlab.problems.w2s.problem import W2S


def load(name: str, store: Path | None = None) -> W2S:
    """Open the testbed `w2s/NAME`; `store` is the vault's folder for sealed draws (None: practice only)."""
    package = import_module(f"{__name__}.{name.removeprefix('w2s/')}")
    return W2S(package.TESTBED, store)


__all__ = ["W2S", "load"]
