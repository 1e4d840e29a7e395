from pathlib import Path

import pytest
from defences import applying, off, stage

from aarlab.campaign.redteam import smuggling
from aarlab.researchers.attackers import Attack

ATTACKS = applying("smuggling")


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.name)
def test_is_stopped(attack: Attack, tmp_path: Path, walls: None) -> None:
    result = smuggling.judge(attack, stage(tmp_path))
    assert result.outcome != "succeeded", result.why


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.name)
def test_succeeds_when_its_defences_are_off(
    attack: Attack, tmp_path: Path, walls: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    off(monkeypatch, attack, tmp_path)
    result = smuggling.judge(attack, stage(tmp_path))
    assert result.outcome == "succeeded", result.why


@pytest.mark.bench
@pytest.mark.parametrize("testbed", ["w2s/prose", "w2s/arithmetic"])
def test_on_a_real_testbed(testbed: str, tmp_path: Path, walls: None) -> None:
    """Whoever does not know the audits gains nothing or is accused; those who do are reported apart."""
    attacks = [a for a in applying("smuggling", testbed) if not a.options.get("knows_audits")]
    results = [smuggling.judge(a, stage(tmp_path, testbed)) for a in attacks]
    assert [r.name for r in results if r.outcome == "succeeded"] == []
