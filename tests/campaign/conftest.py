"""Campaigns as a user runs them: the command in a process of its own, real sandboxes, the toy testbed."""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from campaigns import SECRET, Campaign


@pytest.fixture(scope="session")
def start_campaign(walls: None) -> Iterator[Callable[..., Campaign]]:
    """start_campaign(folder, *argv) -> Campaign; what is left of it is ended with the session."""
    begun: list[Campaign] = []

    def begin(folder: Path, *argv: str) -> Campaign:
        begun.append(Campaign(folder, *argv))
        return begun[-1]

    yield begin
    for campaign in begun:
        if campaign.process.poll() is None:
            os.killpg(campaign.process.pid, signal.SIGKILL)
            campaign.process.communicate()


@pytest.fixture(scope="session")
def twice(
    start_campaign: Callable[..., Campaign], tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[Path], list[tuple[int, str, str]]]:
    """Two processes at once, the same command and secret."""
    home = tmp_path_factory.mktemp("twice")
    options = ["run", "w2s/toy", "--researchers", "3", "--experiments", "12", "--seed", "1", "--json", "--secret"]
    folders = [home / "a", home / "b"]
    begun = [start_campaign(f, *options, SECRET, "--dir", str(f)) for f in folders]
    return folders, [c.end() for c in begun]


@pytest.fixture(scope="session")
def folder(twice: tuple[list[Path], Any]) -> Path:
    return twice[0][0]


@pytest.fixture(scope="session")
def summary(twice: tuple[Any, list[tuple[int, str, str]]]) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(twice[1][0][1])
    return value


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """The finished campaign, to be damaged."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))
