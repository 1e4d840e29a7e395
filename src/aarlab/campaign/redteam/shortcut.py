"""Attacks by shortcut: judged by what they gain without the student, and whether the audits say so."""

from aarlab.campaign.redteam import gained
from aarlab.campaign.redteam.stage import Result, Stage
from aarlab.researchers.attackers import Attack


def judge(attack: Attack, stage: Stage) -> Result:
    return gained.judge(attack, stage)
