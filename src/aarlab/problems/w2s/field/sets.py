"""Who owns which rows: every source unit to one of the four sets, so that each holds about as much of every part."""

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from aarlab.problems.base import NotReady
from aarlab.problems.w2s.field.rows import FILES, Row, Rows
from aarlab.problems.w2s.testbed import SETS

Unit = Literal["question", "conversation", "source"]
FEWEST = 20  # rows of a part of a set
PARTS = ("teacher", "pool", "test")


@dataclass(frozen=True)
class Sets:
    """home: (n,) number of the set (testbed.SETS) of each row, -1 where it was set aside; unit: (n,) its source unit;
    aside: rows set aside since their unit is in another part of the same set too, by file and line."""

    home: NDArray[np.int64]
    unit: NDArray[np.int64]
    aside: tuple[str, ...]


def unit_name(row: Row, unit: Unit) -> str:
    """What a row shares with those that it is not independent of: the question, the first turn, or the source."""
    if unit == "source":
        if row.source is None:
            raise NotReady(f"{row.where}: no `source`, which is declared to be the unit")
        return row.source
    prompt = row.prompt.split("\n\n")[0] if unit == "conversation" else row.prompt
    return " ".join((prompt or row.answers[0]).lower().split())


def units(rows: Rows, unit: Unit) -> tuple[NDArray[np.int64], list[str]]:
    """(n,) the unit of each row, and the units' names. Rows of one `consistency_id` are of one unit."""
    names = [unit_name(r, unit) for r in rows.rows]
    keys = {name: i for i, name in enumerate(sorted(set(names)))}
    node = np.array([keys[n] for n in names])
    groups: dict[str, int] = {}
    edges = [(i, groups.setdefault(r.group, i)) for i, r in zip(node, rows.rows, strict=True) if r.group is not None]
    a, b = np.array(edges, np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(a)), (a, b)), shape=(len(keys), len(keys)))
    of = connected_components(graph, directed=False)[1]
    first: dict[int, str] = {}
    for name, i in keys.items():
        first.setdefault(int(of[i]), name)
    return of[node].astype(np.int64), [first[i] for i in range(len(first))]


def assign(rows: Rows, unit: Unit, shared: bool) -> Sets:
    """Units to sets, the largest first, each to where it evens the sets out; ties by the hash of its name, so that the
    order of a file does not matter. Unless units are `shared` by the parts, a row of the pool whose unit is also in the
    test is set aside, and so is one of the teacher's whose unit is in either. Raises NotReady where a set would be too
    small, or units are in several parts of more rows than not."""
    unit_of, names = units(rows, unit)
    part = np.array([PARTS.index(r.part) + (r.part == "test" and r.ood) for r in rows.rows])
    counts = np.zeros((len(names), 4))
    np.add.at(counts, (unit_of, part), 1)
    totals = np.maximum(counts.sum(0), 1)
    order = sorted(range(len(names)), key=lambda u: (-counts[u].sum(), hashlib.sha256(names[u].encode()).hexdigest()))
    held, home_of = np.zeros((len(SETS), 4)), np.zeros(len(names), np.int64)
    for u in order:
        share = counts[u] / totals
        home_of[u] = int(np.argmin(((held + share) ** 2 - held**2).sum(1)))
        held[home_of[u]] += share
    home = home_of[unit_of]
    aside: list[int] = []
    if not shared:
        tested, pooled = counts[:, 2:].sum(1) > 0, counts[:, 1] > 0
        in_pool = (part == 1) & tested[unit_of]
        in_teacher = (part == 0) & (tested | pooled)[unit_of]
        aside = np.flatnonzero(in_pool | in_teacher).tolist()
        if len(aside) > 0.5 * np.sum(part <= 1):
            raise NotReady(
                f"{rows.rows[aside[0]].where}: its {unit} is in another file too, and so is that of {len(aside)} rows "
                "for training; if that is meant, say --shared-units (shared_units = true), else say what the --unit is"
            )
        home[aside] = -1
    for s, name in enumerate(SETS):
        for p, what in enumerate(PARTS):
            inside = (home == s) & (np.minimum(part, 2) == p)
            y = {r.y for r, i in zip(rows.rows, inside, strict=True) if i}
            if inside.sum() < FEWEST or len(y) < 2:
                raise NotReady(
                    f"{FILES[what]}: {int(inside.sum())} rows of {len(y)} labels would be left for {name} out of "  # type: ignore[index]
                    f"{len(names)} units; a set needs {FEWEST} and both labels: give more rows of more units"
                )
    return Sets(home, unit_of, tuple(rows.rows[i].where for i in aside))
