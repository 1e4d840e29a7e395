"""Real sandboxes, or a clear word on why there are none."""

import shutil
from pathlib import Path

import pytest

from aarlab.sandbox.box import Box, Finished, Limits, SandboxRefused
from aarlab.sandbox.process import run

LIMITS = Limits(memory_mb=512, cpu_seconds=20, wall_seconds=30, processes=16, file_mb=8, workspace_mb=16,
                workspace_files=100, tmp_mb=16)  # fmt: skip


@pytest.fixture(scope="session")
def walls() -> None:
    """Skips where bubblewrap is absent or refused."""
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed: apt install bubblewrap")
    try:
        run(Box(), [Box().python, "-c", "pass"], LIMITS)
    except SandboxRefused as refused:
        pytest.skip(str(refused))


def python(
    code: str, limits: Limits = LIMITS, box: Box | None = None, stdin: bytes | None = None
) -> Finished:
    """Run a program in a box (default: bwrap with nothing mounted)."""
    box = box or Box()
    return run(box, [box.python, "-c", code], limits, stdin)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder
