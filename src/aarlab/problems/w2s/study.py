"""The table of methods (`aarlab baselines --methods`): what every method of kit/methods.py predicts on public instances
as they are, with the teacher permuted, and with the student untrained; and how that is judged.

Predictions are kept in the cache under all that decides them, so that a second study costs only what is new.
"""

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aarlab.kit import zoo
from aarlab.kit.answers import Refused
from aarlab.kit.cache import built, cache_dir, write_whole
from aarlab.kit.methods import METHODS
from aarlab.kit.stats import Outcomes, calibration_error, correct
from aarlab.kit.task import W2STask
from aarlab.problems import draws
from aarlab.problems.base import Instance, Study
from aarlab.problems.w2s import ablate

if TYPE_CHECKING:
    from aarlab.problems.w2s.problem import W2S

RIDGES = (1e-4, 1e-3, 1e-2, 0.1, 1.0)
TAKEN = ("permuted-teacher", "untrained-student")


def predict(problem: "W2S", kit: str, name: str, seed: int) -> NDArray[np.float32]:
    """(3, m) P(y = 1) of a method on practice instance `seed`, and with each of TAKEN taken away. kit: fingerprint of
    what decides a prediction. Raises ValueError where the method can't be run, and why."""
    home = cache_dir() / "study" / problem.fingerprint / problem.name / str(seed)
    kept = home / kit / f"{name}.npy"
    instance = problem.practice(seed)
    m = len(instance.truth["y"])
    if kept.exists() and (known := _read(kept)) is not None and known.shape == (1 + len(TAKEN), m):
        return known
    instances = [instance, *(_ablated(problem, instance, home, what, seed) for what in TAKEN)]
    tasks = [W2STask.load(i.task) for i in instances]
    try:
        out = np.stack([t.accept(METHODS[name].run(t)) for t in tasks]).astype(np.float32)
    except (Refused, FileNotFoundError) as error:
        raise ValueError(str(error)) from error
    file = io.BytesIO()
    np.save(file, out)
    write_whole(kept, file.getvalue())
    return out


def sweep(problem: "W2S", names: Sequence[str], seed: int) -> dict[str, dict[str, NDArray[np.float32]]]:
    """Predictions (m,) of every method that trains a head, at each of RIDGES, by name and by "ridge=…": all heads of
    one representation are fitted at once (zoo.sweep)."""
    chosen = {n: c.choices for n in names if (c := METHODS[n].config) and c.choices.get("train") != "zero_shot"}
    asked = [(n, f"ridge={r:g}", zoo.Config({**c, "train.ridge": r})) for n, c in chosen.items() for r in RIDGES]
    found = zoo.sweep(W2STask.load(problem.practice(seed).task), [c for *_, c in asked])
    out: dict[str, dict[str, NDArray[np.float32]]] = {}
    for (name, value, _), p in zip(asked, found, strict=True):
        out.setdefault(name, {})[value] = p.astype(np.float32)
    return out


def _read(path: Path) -> NDArray[np.float32] | None:
    """A kept prediction; None for a file that is damaged, which is then made anew."""
    try:
        return np.asarray(np.load(path, allow_pickle=False), np.float32)
    except (EOFError, OSError, ValueError):
        return None


def _ablated(problem: "W2S", instance: Instance, home: Path, what: str, seed: int) -> Instance:
    ablation = next(a for a in problem.ablations if a.name == what)

    def take(draft: Path) -> None:
        ablation.apply(instance, draft, seed, 1.0)

    folder = built(home / f"{what}-{draws.digest([Path(ablate.__file__)])}", take)
    return replace(instance, key=f"{instance.key}/{what}", task=folder / "task")


def judged(problem: "W2S", seed: int, predictions: NDArray[np.float32]) -> Study:
    """What `predict` gave, row by row, against truth and teacher."""
    instance = problem.practice(seed)
    y, ood, unit = (instance.truth[k] for k in ("y", "ood", "unit"))
    p = predictions[0].astype(np.float64)
    weak = np.load(instance.task / "test.weak.npy").astype(np.float64)

    def rows(value: NDArray[np.float64]) -> Outcomes:
        return Outcomes(value, np.zeros(len(y), np.int64), unit, ood)

    return Study(
        real=problem.score(instance, p),
        ablated={w: problem.score(instance, q.astype(np.float64)) for w, q in zip(TAKEN, predictions[1:], strict=True)},
        figures={
            "misfit": rows((p - weak) ** 2),  # Charikar et al. 2024: what the gain is made of
            "agreement": rows(correct(p, weak > 0.5)),
            "brier": rows((p - y) ** 2),
        },
        calibration=(calibration_error(p[~ood], y[~ood]), calibration_error(p[ood], y[ood])),
    )
