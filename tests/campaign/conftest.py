"""Campaigns as a user runs them: the command in a process of its own, real sandboxes, the toy testbed."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from campaigns import Campaign

from aarlab.cli.main import main


@pytest.fixture(scope="module")
def start_campaign(walls: None) -> Iterator[Callable[..., Campaign]]:
    """start_campaign(folder, *argv) -> Campaign; what is left of it is ended with the module."""
    begun: list[Campaign] = []

    def begin(folder: Path, *argv: str) -> Campaign:
        begun.append(Campaign(folder, *argv))
        return begun[-1]

    yield begin
    for campaign in begun:
        if campaign.process.poll() is None:
            os.killpg(campaign.process.pid, signal.SIGKILL)
            campaign.process.communicate()


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """command(*argv) -> (exit status, standard output, standard error) of `aarlab`, in this process."""

    def run(*argv: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["aarlab", *map(str, argv)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run
