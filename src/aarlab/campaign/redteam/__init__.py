"""The red team's campaigns: each attack played against the lab's real code, and judged by what it gained."""

from collections.abc import Callable, Mapping

from aarlab.campaign.redteam import record, sabotage, sandbox, shortcut, smuggling, statistical
from aarlab.campaign.redteam.stage import Result, Stage
from aarlab.researchers.attackers import Attack

JUDGES: Mapping[str, Callable[[Attack, Stage], Result]] = {
    "statistical": statistical.judge,
    "smuggling": smuggling.judge,
    "shortcut": shortcut.judge,
    "sabotage": sabotage.judge,
    "sandbox": sandbox.judge,
    "record": record.judge,
}
