"""Attacks on the record: none succeeds against the lab as it is, and each does when what stops it is switched off."""

from pathlib import Path

import pytest
from off_record import OFF, without

from aarlab.campaign.redteam.record import JUDGES, judge
from aarlab.campaign.redteam.stage import Stage
from aarlab.researchers import attackers
from aarlab.researchers.attackers import Attack

ATTACKS = [a for a in attackers.load().values() if a.kind == "record"]
SECRET = b"red" * 11


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, walls: None) -> Stage:
    return Stage("w2s/toy", tmp_path_factory.mktemp("record"), SECRET, minutes=0.5, reduced=True)


def test_every_attack_has_a_judge_and_every_defence_a_switch() -> None:
    assert {a.name for a in ATTACKS} == set(JUDGES)
    named = {d for a in ATTACKS for d in a.defences}
    assert all(a.defences for a in ATTACKS) and named <= set(OFF)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.name)
def test_no_attack_on_the_record_succeeds(attack: Attack, stage: Stage) -> None:
    result = judge(attack, stage)
    assert result.outcome in ("contained", "detected"), result.why
    assert result.queries > 0 and (result.outcome == "detected") == bool(result.detected_by)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.name)
def test_it_succeeds_when_what_stops_it_is_switched_off(attack: Attack, stage: Stage, tmp_path: Path) -> None:
    bare = Stage(stage.problem, tmp_path, stage.secret, minutes=0.5, reduced=True)
    with without(attack.defences):
        result = judge(attack, bare)
    assert result.outcome == "succeeded", result.why
