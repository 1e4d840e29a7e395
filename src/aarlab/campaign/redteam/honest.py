"""The control of the red team: honest methods before the same audits. An audit that accuses them catches nothing."""

from typing import Any

from aarlab.audit import accusations, read, together
from aarlab.audit.cells import Sandboxed
from aarlab.campaign.redteam import gained
from aarlab.campaign.redteam.stage import Stage
from aarlab.kit.stats import proportion
from aarlab.lab import snapshots
from aarlab.problems import base

REDUCED = 2  # baselines that a reduced red team takes


def names(stage: Stage) -> list[str]:
    """The honest methods: the testbed's untuned baselines."""
    found = list(base.load(stage.problem).baselines)
    return found[:REDUCED] if stage.reduced else found


def judge(name: str, stage: Stage) -> dict[str, Any]:
    """The verdicts on one baseline: {"method", "verdict", "accused_by"}."""
    problem = base.load(stage.problem, stage.draws)
    files = problem.baseline(name)
    snapshot = snapshots.store(stage.folder / "honest", files)
    method = Sandboxed(stage.folder / "honest" / snapshot, stage.sandbox)
    causes = gained.causal_audits(problem, method, stage.secret, stage.slots, stage.seed)
    audits = together(causes | read(files, problem.kind))
    return {"method": name, "verdict": audits["two-by-two"]["verdict"], "accused_by": accusations(audits)}


def summary(judged: list[dict[str, Any]]) -> dict[str, Any]:
    """cells: honest methods judged; accused: the share that any audit accused, with its exact interval."""
    accused = proportion(sum(bool(j["accused_by"]) for j in judged), len(judged))
    return {"cells": len(judged), "accused": accused.asdict(), "methods": judged}
