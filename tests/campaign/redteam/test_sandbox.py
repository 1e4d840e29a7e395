"""Every attack on the walls, twice: the defences up, and those taken down that are listed for it."""

import base64
import contextlib
import gzip
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aarlab.campaign import team
from aarlab.campaign.redteam.sandbox import judge
from aarlab.campaign.redteam.stage import Stage
from aarlab.lab import execution, server, service, snapshots
from aarlab.lab.server import Server
from aarlab.researchers import attackers
from aarlab.researchers.attackers import Attack
from aarlab.sandbox import process

pytestmark = pytest.mark.usefixtures("walls")

ATTACKS = [a for a in attackers.load().values() if a.kind == "sandbox"]
Patch = pytest.MonkeyPatch


@pytest.fixture
def stage(tmp_path: Path, shared_draws: Path) -> Stage:
    (tmp_path / "draws").symlink_to(shared_draws)
    return Stage("w2s/toy", tmp_path, b"a secret of the tests, 32 bytes.")


@pytest.fixture(scope="module")
def shared_draws(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("draws")


def test_there_are_at_least_25() -> None:
    assert len({a.name for a in ATTACKS}) >= 25


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.name)
def test_defended(attack: Attack, stage: Stage) -> None:
    result = judge(attack, stage)
    assert result.outcome in ("contained", "detected"), result.why
    assert (result.outcome == "detected") == bool(result.detected_by)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.name)
def test_it_succeeds_without_its_defences(attack: Attack, stage: Stage, monkeypatch: Patch) -> None:
    undefended = stage
    for defence in attack.defences:
        if defence == "walls":
            undefended = replace(stage, sandbox="none")
        elif defence == "limits":
            attack = replace(attack, options={**attack.options, "limit": WITHOUT_LIMITS})
        elif defence not in ("kernel", "seccomp"):  # the filter goes with the walls
            TAKE_DOWN[defence](monkeypatch)
    result = judge(attack, undefended)
    if "kernel" in attack.defences and result.outcome != "succeeded":
        pytest.skip(f"the kernel refuses it here: {result.why}")
    assert result.outcome == "succeeded", result.why


WITHOUT_LIMITS = {
    "memory_mb": 1024, "processes": 256, "file_mb": 256, "workspace_mb": 256, "workspace_files": 4000, "tmp_mb": 64,
    "output_bytes": 2**22, "cpu_seconds": 60.0,
}  # fmt: skip


def without_open_files(monkeypatch: Patch) -> None:
    rlimits = process.rlimits
    monkeypatch.setattr(
        process, "rlimits", lambda *a, **k: {**rlimits(*a, **k), "RLIMIT_NOFILE": (4096, 4096)}
    )


def without_file_names(monkeypatch: Patch) -> None:
    monkeypatch.setattr(snapshots, "NAME", snapshots.re.compile(r"(?s).*"))


def without_never_unpacking(monkeypatch: Patch) -> None:
    """A lab that is helpful with archives."""
    store = snapshots.store

    def helpful(folder: Path, files: Any) -> str:
        name = store(folder, files)
        for text in files.values():
            with contextlib.suppress(ValueError, OSError):
                (folder / f"{name}.unpacked").write_bytes(gzip.decompress(base64.b64decode(text)))
        return name

    monkeypatch.setattr(service.snapshots, "store", helpful)


def without_request_size(monkeypatch: Patch) -> None:
    monkeypatch.setattr(server, "MAX_REQUEST", 2**22)


def without_doors_apart(monkeypatch: Patch) -> None:
    """One count of connections for everybody."""
    room = threading.BoundedSemaphore(server.CONNECTIONS)

    def accept(self: Server, name: str, door: Any) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = door.accept()
                room.acquire()
                threading.Thread(target=self._serve, args=(name, connection, room), daemon=True).start()

    monkeypatch.setattr(Server, "_accept", accept)


def without_careful_watch(monkeypatch: Patch) -> None:
    """One that takes every name for text and every entry for a file."""

    def naive(folders: Sequence[Path], *_: Any) -> bool:
        return sum(len(path.read_bytes()) + len(path.name.encode()) for f in folders for path in f.iterdir() if not path.is_fifo()) < 0

    monkeypatch.setattr(process.watch, "over_size", naive)


def without_suspicious_watch(monkeypatch: Patch) -> None:
    """One that counts what it can see, and nothing for what it cannot."""

    def trusting(folders: Sequence[Path], most_bytes: int, most_files: int, already: int = 0) -> bool:
        files = [os.path.join(place, name) for f in folders for place, _, names in os.walk(f) for name in names]
        return sum(os.lstat(path).st_size for path in files) > most_bytes

    monkeypatch.setattr(process.watch, "over_size", trusting)


def without_harmless_log(monkeypatch: Patch) -> None:
    monkeypatch.setattr(team, "harmless", bytes)


def without_checked_answers(monkeypatch: Patch) -> None:
    monkeypatch.setattr(execution, "check", lambda output, *_: output)


def without_counted_answers(monkeypatch: Patch) -> None:
    """A buffer of any length, cut nowhere."""
    monkeypatch.setattr(execution, "check", lambda output, *_: output)
    monkeypatch.setattr(execution, "cut", lambda data, specs: [np.frombuffer(data, "<f8")])
    limits = execution.limits
    monkeypatch.setattr(execution, "limits", lambda wall, size: limits(wall, 4 * size))


def without_numbers_only(monkeypatch: Patch) -> None:
    """A lab that loads what it is given."""
    numpy = type("numpy", (), {"__getattr__": lambda _, name: getattr(np, name)})()

    def load(data: bytes, dtype: str) -> Any:
        with contextlib.suppress(Exception):
            import pickle  # noqa: PLC0415

            pickle.loads(data)
        return np.frombuffer(data, dtype)

    numpy.frombuffer = load
    monkeypatch.setattr(execution, "np", numpy)


TAKE_DOWN: dict[str, Callable[[Patch], None]] = {
    "open-files": without_open_files, "file-names": without_file_names, "nothing-unpacked": without_never_unpacking,
    "request-size": without_request_size, "doors-apart": without_doors_apart,
    "careful-watch": without_careful_watch, "suspicious-watch": without_suspicious_watch,
    "harmless-log": without_harmless_log,
    "answers-checked": without_checked_answers, "answers-counted": without_counted_answers,
    "numbers-only": without_numbers_only,
}  # fmt: skip


def test_all_defences_can_be_taken_down() -> None:
    named = {d for a in ATTACKS for d in a.defences}
    assert named == {*TAKE_DOWN, "walls", "limits", "kernel", "seccomp"}
    assert os.path.exists("/proc/self/fd")
