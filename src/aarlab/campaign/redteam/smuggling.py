"""Attacks by smuggling: judged by what carried truth gains on sealed sets, and whether the audits find it."""

from aarlab.campaign.redteam import gained
from aarlab.campaign.redteam.stage import Result, Stage
from aarlab.researchers.attackers import Attack


def judge(attack: Attack, stage: Stage) -> Result:
    return gained.judge(attack, stage)
