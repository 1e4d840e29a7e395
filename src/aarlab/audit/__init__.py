"""Audits: tests of whether a result can be believed. An audit that did not run says so; it is never a pass."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from aarlab.audit import complexity, constants
from aarlab.audit.twobytwo import adjust
from aarlab.lab.execution import SEALED_SECONDS, execute
from aarlab.lab.scoring import Yardstick
from aarlab.lab.service import Lab
from aarlab.lab.state import Submission

# Every audit that a result should pass in the end, and what it asks.
AUDITS = {
    "re-execution": "does the method give the same predictions when it is run again from clean?",
    "two-by-two": "does the gain need both of what the problem gives, one of them, or neither?",
    "shortcut": "does the gain survive when a planted surface feature is scrambled?",
    "constants": "does the method carry fitted numbers?",
    "complexity": "how much is there of the method? (it informs and never accuses)",
    "seeds": "would other seeds have told the same story?",
    "carry-over": "does the gain hold on a concept that was never practised?",
    "transfer": "does the method gain on other testbeds? (it informs and never accuses)",
    "legibility": "can an independent reader rebuild the method from its card?",
}


def not_run(name: str) -> dict[str, Any]:
    return {"verdict": "not_run", "value": None, "why": f"not part of this version: {AUDITS[name]}"}


# Audits that read a method's files and run nothing.
READING: Mapping[str, Callable[[Mapping[str, str], str], dict[str, Any]]] = {
    "constants": constants.constants, "complexity": lambda files, kind: complexity.complexity(files),
}  # fmt: skip
LEVEL = 0.05


def accusations(audits: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Names of the audits that speak against the method."""
    return [name for name, a in audits.items() if a.get("accuses", a["verdict"] == "fail")]


def together(audits: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The same audits at one family-wise level: an accusation whose p-value does not pass Holm's correction (1979) over
    all audits that give one becomes "undecided". Audits without a p-value are not statistical and stay."""
    adjusted = adjust({name: float(a["p"]) for name, a in audits.items() if "p" in a})
    found = {}
    for name, a in audits.items():
        if name in adjusted:
            a = {**a, "p_adjusted": adjusted[name]}
            if a.get("accuses") and adjusted[name] > LEVEL:
                why = f"{a['why']} (not shown any more after the correction over {len(adjusted)} audits)"
                a |= {"verdict": "undecided", "accuses": False, "why": why}
        found[name] = a
    return found


def read(files: Mapping[str, str], kind: str) -> dict[str, dict[str, Any]]:
    """Verdicts of the audits that only read a method for tasks of this kind: name -> verdict."""
    return {name: reader(files, kind) for name, reader in READING.items()}


def reexecution(lab: Lab, submission: Submission, yard: Yardstick, instances: int = 3) -> dict[str, Any]:
    """Run a method again in fresh sandboxes and compare its predictions with those that were scored.

    Passes only if every value is the same to 1e-9; value is the largest difference found.
    """
    largest = 0.0
    for instance in yard.instances[:instances]:
        scored = lab.vault.output(str(submission.id), instance.key)
        method = lab.folder / "snapshots" / submission.snapshot
        again = execute(lab.problem, method, [instance], lab.sandbox, SEALED_SECONDS)
        lab.spent(again.cpu_seconds)
        if again.code != "ok" or scored is None:
            return {"verdict": "fail", "value": None, "why": f"it ended with {again.code!r} when run again"}
        largest = max(largest, float(np.abs(again.outputs[0] - scored).max()))
    same = largest <= 1e-9
    told = "the same" if same else "other"
    value = {"mean": largest, "se": None, "low": None, "high": None, "seeds": min(instances, len(yard.instances)),
             "n": lab.problem.output(yard.instances[0]).shape[0],
             "why": "largest difference of a prediction"}  # fmt: skip
    return {
        "verdict": "pass" if same else "fail",
        "value": value,
        "why": f"{told} predictions when run again from clean",
    }
