"""How far a headline stands above nothing: its rank among placebo campaigns, and the same campaign's methods scored
against truth that was redrawn.

The first has the whole lab in it: researchers who chose, submitted and were told. It must have been measured before
(`aarlab placebo`), and is kept among derived files by testbed, fingerprint, release and settings. The second needs no
new run: the predictions are there, and the truth is drawn anew; it knows the noise of rows and the choice among the
finalists, but not the choosing of what to submit. Neither is a p-value of "no better than the comparator".
"""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np

from aarlab.campaign import workers
from aarlab.campaign.config import Config
from aarlab.kit.cache import cache_dir
from aarlab.lab.scoring import Yardstick
from aarlab.lab.vault import Vault
from aarlab.problems.base import Problem

REDRAWS = 1000
FIRST_REDRAW = 2**32  # seeds of the redraws: none of them is a placebo campaign's own
COMPARED = ("experiments", "researchers", "submissions")  # settings in which a campaign may differ from its placebos


def home() -> Path:
    """Where placebo distributions are kept."""
    return cache_dir() / "placebo"


def empirical_p(null: Sequence[float | None], observed: float) -> float:
    """(1 + #{null >= observed}) / (N + 1) (Davison & Hinkley 1997, 4.2.3); None, nothing scored, is never above."""
    return (1 + sum(v is not None and v >= observed for v in null)) / (len(null) + 1)


def distributions(problem: Problem, release: str, sandbox: str) -> list[dict[str, Any]]:
    """Finished placebo distributions of the search researcher on this testbed under this release policy."""
    found = []
    for path in sorted(home().glob("*/distribution.json")):
        try:
            known = json.loads(path.read_text())
            s = known["settings"]
            fits = (known["testbed"], known["fingerprint"]) == (problem.name, problem.fingerprint)
            if fits and (s["kind"], s["release"], s["sandbox"]) == ("search", release, sandbox) and known["best"]:
                found.append(known)
        except (OSError, ValueError, KeyError, TypeError):
            continue  # half of a file, or of another version: it is measured again, not read
    return found


def rank(problem: Problem, config: Config, experiments: int, headline: float | None) -> dict[str, Any]:
    """{"p", "rank", "of", "settings", "why"}: where a headline (gap recovered on `final`) stands among the best raw
    `search` scores of placebo campaigns; rank 1: above them all. `why` says what they had more or less of than this
    campaign, or, with nulls, why there is no rank."""
    none = {"p": None, "rank": None, "of": 0, "settings": None}
    if headline is None:
        return {**none, "why": "the headline is undefined"}
    known = distributions(problem, config.release, config.sandbox)
    if not known:
        ask = f"aarlab placebo {problem.name} --campaigns 20" + (
            f" --release {config.release}" if config.release != "ladder" else ""
        )
        return {**none, "why": f"no placebo distribution of {problem.name} has been measured; `{ask}` measures one"}
    best = max(known, key=lambda d: (len(d["best"]), -abs(int(d["settings"]["experiments"]) - experiments)))
    null, settings = best["best"], best["settings"]
    p = empirical_p(null, headline)
    why = unlike(settings, {**config.model_dump(), "experiments": experiments})
    return {"p": p, "rank": round(p * (len(null) + 1)), "of": len(null), "settings": settings, "why": why}


def unlike(settings: Mapping[str, Any], campaign: Mapping[str, Any]) -> str | None:
    """In words, what the placebo campaigns had more or less of than this one; None if nothing."""
    had = [f"{settings[k]} {k}" for k in COMPARED if settings.get(k) != campaign.get(k)]
    has = [f"{campaign.get(k)}" for k in COMPARED if settings.get(k) != campaign.get(k)]
    if not had:
        return None
    return (
        f"the placebo campaigns had {', '.join(had)}, this one {', '.join(has)}: more tries reach higher where there "
        "is nothing, so the p is that of a campaign of their size"
    )


def redrawn(
    problem: Problem, vault: Vault, pool: Executor, yards: Mapping[str, Yardstick],
    read: Mapping[str, tuple[Sequence[int], float]], redraws: int = REDRAWS,
) -> dict[str, Any]:  # fmt: skip
    """{"p", "redraws", "select", "final", "why"}: the winner's gap recovered against the best of all that were read on
    the same set, under `redraws` placebo truths. read: of each set, the submissions and the winner's gap recovered.
    p is the larger one of the two sets."""
    jobs = {
        s: pool.submit(workers.redrawn, problem.name, vault, yards[s], ids, FIRST_REDRAW, redraws)
        for s, (ids, _) in read.items()
    }
    figures = {}
    for s, job in jobs.items():
        null, observed = job.result(), read[s][1]
        figures[s] = {
            "p": empirical_p(null, observed), "observed": observed, "methods": len(read[s][0]),
            "q50": float(np.quantile(null, 0.5)), "q95": float(np.quantile(null, 0.95)), "max": max(null),
        }  # fmt: skip
    p = max(f["p"] for f in figures.values()) if figures else None
    return {
        "p": p, "redraws": redraws, "select": figures.get("select"), "final": figures.get("final"),
        "why": None if figures else "gap recovered is undefined on these sets",
    }  # fmt: skip


def ranks(
    problem: Problem, vault: Vault, config: Config, experiments: int, pool: Executor, yards: Mapping[str, Yardstick],
    results: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """`placebo_rank` and `p_redrawn` of a campaign's best method, from its results."""
    best, finalists = results["best"], results["finalists"]
    placed = rank(problem, config, experiments, (best["final"] or {}).get("mean"))
    read = {}
    for set_name in ("select", "final"):
        mean = (best[set_name] or {}).get("mean")
        ids = [f["submission"] for f in finalists if f[set_name] is not None]
        if mean is not None and ids:
            read[set_name] = (ids, float(mean))
    return {"placebo_rank": placed, "p_redrawn": redrawn(problem, vault, pool, yards, read)}
