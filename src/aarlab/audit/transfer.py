"""Transfer: does a method gain on the testbeds on which it was never climbed?"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aarlab.kit.stats import Outcomes, gap_difference, gap_recovered, join
from aarlab.lab.execution import Halted, execute
from aarlab.problems import base
from aarlab.problems.base import Problem, References, UnknownProblem
from aarlab.sandbox.box import Kind

INSTANCES = 5
FIRST = 1_900_000_500  # public instances that a campaign on that testbed would not have practised
SECONDS = 40.0  # begun later than this, a testbed is not begun
RUN_SECONDS = 60.0


def transfer(
    home: Problem, method: Path, sandbox: Kind, names: Sequence[str] | None = None, instances: int = INSTANCES,
    seconds: float = SECONDS,
) -> dict[str, Any]:  # fmt: skip
    """Run a method's folder on public instances of other testbeds (`names`, by default those that `home` names), in a
    fresh sandbox each. It informs and accuses nobody: the verdict is "holds on K of M".

    M counts the testbeds on which it could run; a method "holds" where its gain over that testbed's starting baseline
    is above zero by its 95% interval. testbeds: one entry each with testbed, status ("ran", "not applicable": it fails
    where a trait that the problem names in `needs` is not as it is at home; "failed", "not run"),
    recovered, gain, holds, why. value: the smallest gain. Raises UnknownProblem for a testbed that is not there.
    """
    began = time.monotonic()
    entries = []
    for name in home.transfers if names is None else names:
        if time.monotonic() - began > seconds:
            entries.append(_entry(name, "not run", "the time given to transfer was over"))
        else:
            try:
                entries.append(_one(home, base.load(name), method, sandbox, instances))
            except UnknownProblem as error:
                if names is not None:
                    raise
                entries.append(_entry(name, "not run", f"not installed here: {error}"))
    ran = [e for e in entries if e["status"] in ("ran", "failed")]
    held = sum(e["holds"] for e in ran)
    gains = [e["gain"] for e in ran if e["gain"] and e["gain"]["mean"] is not None]
    verdict = f"holds on {held} of {len(ran)}" if ran else "not_run"
    others = [f"{e['testbed']}: {e['why']}" for e in entries if e["status"] != "ran"]
    return {
        "verdict": verdict,
        "value": min(gains, key=lambda g: g["mean"]) if gains else None,
        "why": "; ".join([f"a gain over the starting baseline on {held} of {len(ran)} other testbeds", *others]),
        "testbeds": entries,
    }


def _one(home: Problem, there: Problem, method: Path, sandbox: Kind, count: int) -> dict[str, Any]:
    drawn = [there.practice(FIRST + i) for i in range(count)]
    try:
        done = execute(there, method, drawn, sandbox, RUN_SECONDS)
    except Halted:
        return _entry(there.name, "not run", "it was halted")
    if done.code != "ok":
        here, elsewhere = home.traits, there.traits
        other = [t for t in home.needs if here.get(t) != elsewhere.get(t)]
        if other:
            why = f"it ended with {done.code!r}, and rows there are of another kind: {', '.join(other)}"
            return _entry(there.name, "not applicable", why)
        return _entry(there.name, "failed", f"it ended with {done.code!r}")
    start = there.baselines[0]
    references: list[References] = [there.references(i, [start]) for i in drawn]
    ran = join([there.score(i, o) for i, o in zip(drawn, done.outputs, strict=True)])
    floor, ceiling = join([r.floor for r in references]), join([r.ceiling for r in references])
    return _scored(there.name, ran, join([r.baselines[start] for r in references]), floor, ceiling)


def _scored(name: str, ran: Outcomes, start: Outcomes, floor: Outcomes, ceiling: Outcomes) -> dict[str, Any]:
    gain, recovered = gap_difference(ran, start, floor, ceiling), gap_recovered(ran, floor, ceiling)
    holds = gain.low is not None and gain.low > 0
    why = gain.why or f"recovers {recovered}, a gain of {gain}"
    return _entry(name, "ran", why) | {"recovered": recovered.asdict(), "gain": gain.asdict(), "holds": holds}


def _entry(name: str, status: str, why: str) -> dict[str, Any]:
    return {"testbed": name, "status": status, "recovered": None, "gain": None, "holds": False, "why": why}
