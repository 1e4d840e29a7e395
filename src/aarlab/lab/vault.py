"""The vault: the secret from which sealed sets come, their truth, and what sealed runs gave. Read by scoring alone.

It lies in the campaign's folder, and no sandbox mounts any part of it but the task folders of a run.
"""

import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


class DamagedVault(Exception):
    """The vault is missing or not what the ledger says it is."""


@dataclass(frozen=True)
class Vault:
    """shared: a folder of sealed draws that campaigns of one secret have in common (the red team's plays); placebo: the
    seed by which the truth of every sealed set is redrawn, None for the real one."""

    folder: Path
    secret: bytes
    shared: Path | None = None
    placebo: int | None = None

    @property
    def draws(self) -> Path:
        """Where sealed draws are written."""
        return self.shared or self.folder / "draws"

    @property
    def commitment(self) -> str:
        """A hash of the secret: what the ledger holds, so that another secret is noticed."""
        return hashlib.sha256(b"aarlab vault\0" + self.secret).hexdigest()

    def keep_output(self, submission: str, key: str, output: NDArray[np.float64]) -> None:
        """Keep the predictions of one sealed run, float64."""
        path = self._output(submission, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".part")
        output.astype("<f8").tofile(draft)
        draft.rename(path)

    def output(self, submission: str, key: str) -> NDArray[np.float64] | None:
        """The predictions of an earlier sealed run, if it was made."""
        path = self._output(submission, key)
        return np.fromfile(path, dtype="<f8") if path.exists() else None

    def keep_failure(self, submission: str, key: str, code: str, text: bytes) -> None:
        """Keep what a failed sealed run said: sealed rows could travel in it, so nobody else is told."""
        path = self._output(submission, key).with_suffix(".failed")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(code.encode() + b"\n" + text)

    def _output(self, submission: str, key: str) -> Path:
        return self.folder / "outputs" / submission / f"{key.replace('/', '-')}.f64"


def create(folder: Path, fixed: bytes | None = None) -> Vault:
    """Make a vault with a random 256-bit secret, or a fixed one (tests, studies; stamped on every output)."""
    folder.mkdir(mode=0o700, parents=True)
    secret = fixed if fixed is not None else secrets.token_bytes(32)
    with open(os.open(folder / "secret", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secret.hex())
    return Vault(folder, secret)


def open_vault(folder: Path, commitment: str) -> Vault:
    """Open the vault of a campaign and check it against the ledger's commitment."""
    try:
        vault = Vault(folder, bytes.fromhex((folder / "secret").read_text().strip()))
    except (OSError, ValueError) as error:
        raise DamagedVault(f"{folder / 'secret'}: {error}; without it sealed sets cannot be drawn again") from error
    if vault.commitment != commitment:
        raise DamagedVault(f"{folder / 'secret'}: not the secret that this campaign began with")
    return vault
