"""Scoring on sealed sets: one fresh sandbox an instance, predictions against the vault, the raw score to people.

References (floor, ceiling, baselines) are the lab's own trusted code and run outside sandboxes, once, cached.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from aarlab.kit.cache import built
from aarlab.kit.stats import Outcomes, Score, join
from aarlab.lab.execution import SEALED_SECONDS, execute
from aarlab.lab.vault import Vault
from aarlab.problems.base import Instance, Problem
from aarlab.sandbox.box import Kind

# Of `search`, as many as the release policy needs for instances to agree at its level without a great loss of power.
INSTANCES = {"search": 8, "select": 10, "final": 10}


@dataclass(frozen=True)
class Scored:
    """A method on a sealed set. code: "ok", or the first failure; outcomes: of all instances, end to end; notes: the
    problem's, averaged over instances."""

    code: str
    outcomes: Outcomes | None
    cpu_seconds: float
    runs: int
    notes: Mapping[str, float] = field(default_factory=dict)

    @property
    def noted(self) -> dict[str, Any]:
        """What the record has of the notes: nothing where there are none."""
        return {"notes": dict(self.notes)} if self.notes else {}


@dataclass(frozen=True)
class Yardstick:
    """A sealed set with its floor and ceiling on the same rows."""

    instances: Sequence[Instance]
    floor: Outcomes
    ceiling: Outcomes

    @property
    def unit(self) -> float:
        """Accuracy in one unit of gap recovered."""
        return float(self.ceiling.value.mean() - self.floor.value.mean())

    def score(self, problem: Problem, outcomes: Outcomes) -> Score:
        return problem.gap(outcomes, self.floor, self.ceiling)

    def score_part(self, problem: Problem, outcomes: Outcomes, ood: bool) -> Score:
        return problem.gap(outcomes.part(ood), self.floor.part(ood), self.ceiling.part(ood))


def yardstick(problem: Problem, vault: Vault, set_name: str, draw: int = 0) -> Yardstick:
    """Draw the instances of a sealed set and measure floor and ceiling on them."""
    instances = [problem.sealed(set_name, i, vault.secret, draw) for i in range(INSTANCES[set_name])]
    if vault.placebo is not None:
        instances = [problem.placebo(i, vault.placebo) for i in instances]
    if vault.shared is None:
        return Yardstick(instances, *_references(problem, instances))
    # Campaigns of one secret draw the same rows: what is measured on them is kept beside them.
    kept = vault.draws / problem.name / f"{set_name}-{draw}.references-{vault.placebo}"
    built(kept, lambda made: _keep(made, _references(problem, instances)))
    return Yardstick(instances, *(_kept(kept, name) for name in ("floor", "ceiling")))


def _references(problem: Problem, instances: Sequence[Instance]) -> tuple[Outcomes, Outcomes]:
    references = [problem.references(i) for i in instances]
    return join([r.floor for r in references]), join([r.ceiling for r in references])


def _keep(folder: Path, references: tuple[Outcomes, Outcomes]) -> None:
    for name, outcomes in zip(("floor", "ceiling"), references, strict=True):
        np.savez(folder / f"{name}.npz", **dict[str, Any](vars(outcomes)))


def _kept(folder: Path, name: str) -> Outcomes:
    with np.load(folder / f"{name}.npz") as arrays:
        return Outcomes(**arrays)


def start_outcomes(problem: Problem, yard: Yardstick, name: str) -> Outcomes:
    """The method that a campaign starts from, on a yardstick: the floor, or an untuned baseline."""
    if name == problem.words.start:
        return yard.floor
    return join([problem.references(i, [name]).baselines[name] for i in yard.instances])


def start(problem: Problem, yard: Yardstick) -> tuple[str, Outcomes]:
    """Name and outcomes of what a campaign starts from: the better, on `search`, of the floor and the
    first untuned baseline, so that whatever is above the start is above both."""
    first = problem.baselines[0]
    outcomes = start_outcomes(problem, yard, first)
    if outcomes.value.mean() > yard.floor.value.mean():
        return first, outcomes
    return problem.words.start, yard.floor


def run_sealed(
    problem: Problem, vault: Vault, method: Path, label: str, instances: Sequence[Instance], kind: Kind,
    each: Callable[[Callable[[], Scored]], Scored], pool: ThreadPoolExecutor, halt: threading.Event | None = None,
) -> Scored:  # fmt: skip
    """Run a snapshot on sealed instances, each in a fresh sandbox of its own; `each` wraps one run in a slot.

    Predictions already in the vault under `label` are read, not made again, so a campaign that was killed goes on.
    """

    def one(instance: Instance) -> Scored:
        output = vault.output(label, instance.key)
        cpu, runs = 0.0, 0
        if output is None:
            done = execute(problem, method, [instance], kind, SEALED_SECONDS, halt)
            cpu, runs = done.cpu_seconds, 1
            if done.code != "ok":
                vault.keep_failure(label, instance.key, done.code, done.text)
                return Scored(done.code, None, cpu, runs)
            output = done.outputs[0]
            vault.keep_output(label, instance.key, output)
        said = np.asarray(output)
        return Scored("ok", problem.score(instance, said), cpu, runs, problem.notes(instance, said))

    def slotted(instance: Instance) -> Scored:
        return each(lambda: one(instance))

    parts = list(pool.map(slotted, instances))
    cpu, runs = sum(p.cpu_seconds for p in parts), sum(p.runs for p in parts)
    failed = next((p.code for p in parts if p.code != "ok"), None)
    if failed is not None:
        return Scored(failed, None, cpu, runs)
    whole = join([p.outcomes for p in parts if p.outcomes is not None])
    return Scored("ok", whole, cpu, runs, averaged([p.notes for p in parts]))


def averaged(notes: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Every figure's mean over the instances that have it."""
    names = dict.fromkeys(name for n in notes for name in n)
    return {name: round(float(np.mean([n[name] for n in notes if name in n])), 5) for name in names}
