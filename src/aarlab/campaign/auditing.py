"""The audits of a finalist, on the instances of `select`, where it was scored: what it says there is held against what
it says when nothing is taken away. Verdicts go to people, never to researchers.
"""

from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np

from aarlab.audit import AUDITS, causal, not_run, read, reexecution, together
from aarlab.audit.carryover import Drawn
from aarlab.audit.cells import Cell, Ran, Sandboxed, run_cells
from aarlab.audit.legibility import legibility
from aarlab.audit.seeds import seeds
from aarlab.audit.transfer import transfer
from aarlab.campaign import team, workers
from aarlab.kit.stats import Outcomes, join
from aarlab.lab import snapshots
from aarlab.lab.scoring import Yardstick
from aarlab.lab.service import Lab
from aarlab.lab.state import Submission

SAME = 1e-9
TRANSFER_SECONDS = 15.0  # after which no other testbed is begun


def audit(
    lab: Lab, pool: Executor, submission: Submission, select: Yardstick, final: Yardstick, practice_seed: int,
    picture: bool = True,
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """Every audit of one finalist that ran on `select` and `final`, at one family-wise level."""
    problem, name = lab.problem, lab.problem.name
    public_seeds = range(practice_seed, practice_seed + 2 * team.PRACTICE_INSTANCES)
    references = pool.submit(workers.prepare_practice, name, public_seeds)
    method = Sandboxed(lab.folder / "snapshots" / submission.snapshot, lab.sandbox, lab.spent, lab.halted)
    ran = causal.measure(problem, method, select, lab.vault.secret, lab.slots, picture)
    public = [problem.practice(s) for s in public_seeds]
    real = run_cells(problem, method, public, (Cell("real"),), lab.vault.secret, lab.slots)["real"]
    refs = [references.result()[s] for s in public_seeds]
    practised = Drawn(
        "practice", causal.outcomes(problem, real), join([r.floor for r in refs]), join([r.ceiling for r in refs])
    )
    elsewhere = Drawn("final", _scored(lab, submission, final), final.floor, final.ceiling)
    audits = {a: not_run(a) for a in AUDITS} | {"re-execution": _again(lab, submission, ran["real"], select, final)}
    start = pool.submit(workers.start, name, lab.vault, lab.state.start or problem.baselines[0], final).result()
    if elsewhere.method is not None:
        audits["seeds"] = seeds(elsewhere.method, start, final.floor, final.ceiling, submission.search)
    files = snapshots.load(lab.folder / "snapshots", submission.snapshot)
    audits |= read(files, problem.kind)
    audits["transfer"] = transfer(problem, method.folder, lab.sandbox, seconds=TRANSFER_SECONDS)
    audits["legibility"] = legibility(problem, files, lab.sandbox)
    return together(audits | causal.judge(problem, ran, select, practised, [elsewhere], picture))


def _again(lab: Lab, submission: Submission, real: Ran, select: Yardstick, final: Yardstick) -> dict[str, Any]:
    """Re-execution on `final`; and on `select` the method must say among audits what it said when it was scored."""
    again = reexecution(lab, submission, final)
    if again["verdict"] == "fail" or real.code != "ok":
        return again
    for instance, output in zip(select.instances, real.outputs[0], strict=True):
        scored = lab.vault.output(str(submission.id), instance.key)
        if scored is not None and np.abs(scored - output).max() > SAME:
            return again | {"verdict": "fail", "why": "other predictions when it is audited than when it was scored"}
    return again


def _scored(lab: Lab, submission: Submission, yard: Yardstick) -> Outcomes | None:
    """What it said when it was scored; nothing is run again."""
    said: Sequence[Any] = [lab.vault.output(str(submission.id), i.key) for i in yard.instances]
    if any(s is None for s in said):
        return None
    return join([lab.problem.score(i, np.asarray(s)) for i, s in zip(yard.instances, said, strict=True)])
