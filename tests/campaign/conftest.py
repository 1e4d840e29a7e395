"""Campaigns as a user runs them: the command in a process of its own, real sandboxes, the toy testbed."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from campaigns import Campaign


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
