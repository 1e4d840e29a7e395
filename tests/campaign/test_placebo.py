"""Placebo campaigns: honest researchers report nothing, a planted cheat is counted, and headlines are ranked in it."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aarlab.campaign import nulls, placebo, run
from aarlab.campaign.config import Config
from aarlab.campaign.placebo import Series
from aarlab.cli.placebo import histogram
from aarlab.kit.cache import cache_dir
from aarlab.kit.stats import Outcomes
from aarlab.lab import scoring
from aarlab.lab import vault as vaults
from aarlab.lab.execution import Run
from aarlab.lab.scoring import Yardstick, yardstick
from aarlab.problems import base
from aarlab.report import words

Command = Callable[..., tuple[int, str, str]]
FIELDS = {
    "testbed", "campaigns", "experiments", "researchers", "submissions", "kind", "attack", "release", "seed", "sandbox",
    "best", "published_gains", "gain_rate", "headline_rate", "finals", "gave_up", "seconds",
}  # fmt: skip


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, so that no distribution of anybody else is seen; sandboxes and draws are shared."""
    cache = tmp_path / "cache"
    cache.mkdir()
    for path in cache_dir().iterdir() if cache_dir().exists() else []:
        if path.name != "placebo":
            (cache / path.name).symlink_to(path)
    monkeypatch.setenv("AARLAB_CACHE", str(cache))
    return nulls.home()


def test_honest_researchers_report_nothing_and_what_is_finished_is_kept(walls: None, home: Path, command: Command) -> None:
    argv = ["placebo", "w2s/toy", "--campaigns", "2", "--experiments", "8", "--researchers", "2", "--jobs", "2"]
    status, out, err = command(*argv, "--json")
    assert status == 0 and out.count("\n") == 1 and err.count("campaign ") == 2, err
    said = json.loads(out)
    assert set(said) == FIELDS and said["campaigns"] == len(said["best"]["values"]) == 2
    known = [v for v in said["best"]["values"] if v is not None]
    assert known and all(-2 < v <= 0.05 for v in known) and said["best"]["mean"] == pytest.approx(np.mean(known))
    assert said["published_gains"] == [0.0, 0.0] and said["finals"] == [None, None]
    assert said["gain_rate"]["campaigns"]["count"] == said["headline_rate"]["count"] == 0
    assert said["gain_rate"]["researchers"]["of"] == 4 and said["gain_rate"]["campaigns"]["high"] > 0.5

    # It is all there, and nothing is run again.
    status, again, err = command(*argv, "--json")
    assert status == 0 and err == ""
    assert {**json.loads(again), "seconds": 0} == {**said, "seconds": 0}
    status, table, _ = command(*argv)
    assert status == 0 and "nothing to find" in table and "0 of 4" in table

    # The stamp is in the record of each, and truth differs between them; the secret is one, and the draws are gone.
    folders = sorted(home.glob("*/campaigns/*"))
    started = []
    for folder in folders:
        ledger, state, vault = run.open_records(folder)
        with closing(ledger):
            started.append((vault.placebo, vault.secret, state.started["config"]["seed"]))
            assert state.started["placebo"] == vault.placebo is not None and state.start == "teacher"
            assert ("PLACEBO", True) in [(label, bool(why)) for label, why in stamps(folder)]
    assert [s[0] for s in started] == [0, 1] and started[0][1] == started[1][1] and started[0][2] != started[1][2]
    assert not list(home.glob("*/draws"))

    # A headline is ranked in it, and the rank says how the placebos differ from the campaign.
    problem = base.load("w2s/toy")
    config = Config(problem="w2s/toy", experiments=8, researchers=2, submissions=2)
    high, low = nulls.rank(problem, config, 8, 0.5), nulls.rank(problem, config, 8, -3.0)
    assert (high["p"], high["rank"], high["of"], high["why"]) == (1 / 3, 1, 2, None)
    assert low["p"] == (1 + len(known)) / 3
    other = nulls.rank(problem, Config(problem="w2s/toy", minutes=3), 400, 0.5)
    assert other["p"] == 1 / 3 and "8 experiments, 2 researchers, 2 submissions, this one 400, 9, 4" in other["why"]
    for unknown in (base.load("w2s/digits"), problem.planted(0.5)):
        none = nulls.rank(unknown, config, 8, 0.5)
        assert none["p"] is None and f"aarlab placebo {unknown.name} --campaigns 20" in none["why"]
    assert nulls.rank(problem, config, 8, None)["p"] is None


def stamps(folder: Path) -> list[tuple[str, str]]:
    return words.stamps(run.open_view(folder))


def test_a_cheat_is_counted_and_a_campaign_that_was_broken_off_goes_on(
    walls: None, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: sealed runs answer with the placebo's own truth, in nine rows of ten."""

    def leak(problem: Any, method: Any, instances: Any, *_: Any) -> Run:
        said = []
        for i in instances:
            y = i.truth["y"].astype(float)
            said.append(np.where(np.arange(len(y)) % 10 == 0, 1 - y, y))
        return Run("ok", tuple(said), "", b"", 0.0, 0.0)

    monkeypatch.setattr(scoring, "execute", leak)
    series = Series("w2s/toy", experiments=8, researchers=1, submissions=1)
    with monkeypatch.context() as broken:
        broken.setattr(placebo, "report", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            placebo.play(series, 0)
    folder = series.folder / "campaigns" / "000"
    assert not (folder / "row.json").exists()
    ledger, before, _ = run.open_records(folder)
    ledger.close()
    row = placebo.play(series, 0)
    ledger, after, _ = run.open_records(folder)
    ledger.close()
    assert len(before.practices) == len(after.practices) == row["experiments"] == 8, "research is not done again"
    assert row["start"] == "teacher" and row["gained"] == ["r1"] and row["passed"] == 1 and row["gave_up"] == []
    assert row["best"] > 0 and row["published"] > 0.02 and row["final"] > 0
    told = placebo.summary(series, [row], 1.0)
    assert told["gain_rate"]["researchers"]["count"] == told["headline_rate"]["count"] == 1
    assert placebo.play(series, 0) == row


def test_redrawn_truth_ranks_the_winner_among_the_best_of_all_that_were_read(tmp_path: Path) -> None:
    vault = vaults.create(tmp_path / "vault", bytes(32))
    problem = base.load("w2s/toy", vault.draws)
    yard = yardstick(problem, vault, "select")
    yard = Yardstick(yard.instances[:3], *(first(o, 3) for o in (yard.floor, yard.ceiling)))
    for i in yard.instances:
        teacher = np.load(i.task / "test.weak.npy").astype(float)
        vault.keep_output("1", i.key, teacher)
        vault.keep_output("2", i.key, i.truth["y"].astype(float))
        one = np.arange(len(teacher)) == int(np.argmax(np.abs(teacher - 0.5)))
        vault.keep_output("3", i.key, np.where(one, 1 - teacher, teacher))

    def p(ids: list[int], observed: float) -> dict[str, Any]:
        with ThreadPoolExecutor(1) as pool:
            return nulls.redrawn(problem, vault, pool, {"select": yard}, {"select": (ids, observed)}, 99)  # type: ignore[arg-type]

    truth = p([2], 1.0)
    assert truth["p"] == 1 / 100 and truth["select"]["max"] < 0 and truth["final"] is None
    alone = p([1], 0.0)
    assert alone["p"] == 1.0 and alone["select"]["max"] == pytest.approx(0)
    assert p([1, 2, 3], 0.0)["p"] == 1.0, "the best of all is at least the teacher"
    few = p([3], 0.0)["select"]
    assert -0.1 < few["q50"] < 0 < few["max"], "one row from the teacher: better by chance, and mostly not"
    assert nulls.redrawn(problem, vault, None, {}, {})["p"] is None  # type: ignore[arg-type]


def first(o: Outcomes, instances: int) -> Outcomes:
    keep = o.instance < instances
    return Outcomes(o.value[keep], o.instance[keep], o.unit[keep], o.ood[keep])


def test_figures() -> None:
    assert nulls.empirical_p([0.1, 0.2, None, -1.0], 0.2) == 2 / 5
    assert nulls.empirical_p([], 0.5) == 1.0
    exact = placebo.share(0, 20)
    assert exact["low"] == 0 and exact["high"] == pytest.approx(1 - 0.025 ** (1 / 20))
    half = placebo.share(10, 20)
    assert (half["low"], half["high"]) == pytest.approx((0.2720, 0.7280), abs=1e-4)
    assert placebo.share(20, 20)["high"] == 1 and placebo.share(0, 0)["rate"] is None
    empty = placebo.summary(Series("w2s/toy"), [], 0.0)
    assert empty["best"]["mean"] is None and empty["gain_rate"]["campaigns"]["rate"] is None
    bars = histogram([-0.5, -0.4, -0.4, 0.0])
    assert bars.count("#") == 4 and len(bars.splitlines()) == 10 and "# 1" in bars
    assert histogram([0.1]).count("#") == 1
    assert replace(Series("w2s/toy"), seed=2).config(3).placebo == 2003
