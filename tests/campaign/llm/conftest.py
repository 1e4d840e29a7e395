"""A lab on the toy testbed with one language-model researcher in a real sandbox, its model a scripted server."""

import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

if importlib.util.find_spec("inspect_ai") is None or importlib.util.find_spec("openai") is None:
    collect_ignore_glob = ["test_*.py"]  # the extra `llm` is not installed

sys.path.insert(0, str(Path(__file__).parent))

from played import MODEL, Played, Shared
from scripted import Reply, Scripted, research

from aarlab.campaign import team
from aarlab.campaign.config import Config
from aarlab.campaign.llm import driver, prompts
from aarlab.campaign.llm.models import Nursery
from aarlab.lab import vault as vaults
from aarlab.lab.ledger import Ledger
from aarlab.lab.server import Server
from aarlab.lab.service import Lab
from aarlab.lab.state import State
from aarlab.problems import base


@pytest.fixture(scope="session")
def server() -> Iterator[Scripted]:
    with Scripted(research) as scripted:
        os.environ.update(scripted.environment)
        os.environ.update({"GONE_BASE_URL": "http://127.0.0.1:9/v1", "GONE_API_KEY": "x"})
        yield scripted


@pytest.fixture(scope="session")
def nursery(server: Scripted) -> Iterator[Nursery]:
    with Nursery() as made:
        yield made


@pytest.fixture
def play(
    walls: None, server: Scripted, nursery: Nursery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Played]]:
    """play(reply, sessions=1, model=…, **config) -> Played, after so many sessions, or when it has stopped by itself."""
    labs: list[Lab] = []
    monkeypatch.setattr(driver, "PAUSE", 0.05)

    def run(
        reply: Reply, sessions: int = 1, model: str = MODEL, until: Callable[[Lab], bool] | None = None, **options: Any
    ) -> Played:
        server.reply = reply
        server.requests.clear()
        server.times.clear()
        server.charged = [0, 0]
        options = {"price": ((1.0, 2.0),), "minutes": 5.0} | options
        config = Config(problem="w2s/toy", kind="llm", researchers=1, model=(model,), **options)
        folder = tmp_path / f"campaign-{len(labs)}"
        for part in ("snapshots", "findings", "logs", "sandboxes"):
            (folder / part).mkdir(parents=True)
        vault = vaults.create(folder / "vault", bytes(range(32)))
        ledger = Ledger(folder / "lab.db", create=True)
        problem = base.load("w2s/toy", vault.draws)
        lab = Lab(folder, problem, ledger, vault, State(), config.limits, config.sandbox, 2, 0.05)
        labs.append(lab)
        texts = prompts.shipped()
        prompts.keep(folder, texts)
        lab.log(
            "campaign_started", lanes=team.lanes(config, problem), researchers=1, commitment=vault.commitment,
            prompts=prompts.hashes(texts), config={"forum": config.forum},
        )  # fmt: skip
        lab.begin(config.names)
        began, limit = time.monotonic(), time.monotonic() + 60
        with monkeypatch.context() as patch:
            patch.setattr(team, "Nursery", lambda log: Shared(nursery))
            patch.setattr(team, "check_in", lambda *_: None)
            with Server(lab, config.names) as door, team.Team(lab, config, door) as members:
                done = until or (lambda lab: len([*lab.ledger.events("iteration")]) >= sessions)
                while members.running() and not done(lab):
                    assert time.monotonic() < limit, "it never came to that"
                    time.sleep(0.02)
                lab.over.set()
                members.stop()
                return Played(lab, members.whys["r1"], members.pause, time.monotonic() - began)

    yield run
    for lab in labs:
        lab.stop(at_once=True)
        lab.close()
        lab.ledger.close()
