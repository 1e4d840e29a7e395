"""What is wrong with a data set, said before anything is trained on it: balance, single classes, duplicates across
splits, and labels that can be told from length, position or `source` alone.

A leak is measured as the accuracy, on units held out, of a plain predictor that sees nothing but the mark, above that
of always giving the commoner label of the units that it was fitted on; with an interval clustered by unit.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from aarlab.kit.stats import Score
from aarlab.problems.base import NotReady
from aarlab.problems.w2s.field.rows import FILES, Part, Row, Rows

FOLDS = 5
LEVEL = 0.99  # of a leak's interval: several marks are tried
MOST_ONE_CLASS = 0.9
Array = NDArray[np.float64]


def examine(rows: Rows, unit: NDArray[np.int64]) -> dict[str, Any]:
    """The report of a data set; `unit`: (n,) the source unit of each row. Raises NotReady, one line with file and line,
    where a part has one class (or nearly: over nine tenths), or where a row of the test is in another part too."""
    balance = {FILES[p]: _balance(rows.of(p), p) for p in FILES}
    duplicates = _duplicates(rows)
    leaks = {name: leak(rows, unit, mark) for name, mark in MARKS.items() if mark(rows) is not None}
    warnings = [f"{name}: {d}" for name, d in duplicates.items() if d]
    for name, (score, above) in leaks.items():
        if score.low is not None and score.low > 0:
            warnings.append(
                f"label leaks through {name}: told from it alone with accuracy {above + (score.mean or 0):.3f}, "
                f"{score.mean:+.3f} [{score.low:+.3f}, {score.high:+.3f}] above the commoner label"
            )
    for path, fields in rows.ignored.items():
        warnings.append(f"{path}: fields that nothing here reads: {', '.join(fields)}")
    for name, b in balance.items():
        if not 0.4 <= b["positive"] <= 0.6:
            warnings.append(f"{name}: {b['positive']:.2f} of the labels are {'A' if rows.paired else 'true'}")
    return {
        "rows": {name: b["rows"] for name, b in balance.items()}, "units": len(np.unique(unit)), "paired": rows.paired,
        "positive": {name: round(b["positive"], 4) for name, b in balance.items()}, "duplicates": duplicates,
        "leaks": {n: {**s.asdict(), "chance": round(a, 4)} for n, (s, a) in leaks.items()}, "warnings": warnings,
    }  # fmt: skip


def _balance(rows: Sequence[Row], part: Part) -> dict[str, Any]:
    positive = float(np.mean([r.y for r in rows]))
    if not 1 - MOST_ONE_CLASS <= positive <= MOST_ONE_CLASS:
        what = "have one label" if positive in (0.0, 1.0) else f"have one label in {max(positive, 1 - positive):.1%}"
        raise NotReady(f"{rows[0].where}: the {len(rows)} rows of {FILES[part]} {what}; give both in fair shares")
    return {"rows": len(rows), "positive": positive}


def _duplicates(rows: Rows) -> dict[str, str]:
    """Rows that are there twice, in words; one that is in two files, letter for letter, is refused."""
    seen: dict[tuple[str, ...], Row] = {}
    within: Counter[str] = Counter()
    between: Counter[str] = Counter()
    answers: dict[str, set[Part]] = defaultdict(set)
    for row in rows.rows:
        first = seen.setdefault(row.key, row)
        if first.part != row.part:
            if (first.prompt, first.answers) == (row.prompt, row.answers):
                raise NotReady(f"{row.where}: the same row as {first.where}; a row may be in one file only")
            between[f"{FILES[first.part]} and {FILES[row.part]}"] += 1
        elif first is not row:
            within[FILES[row.part]] += 1
        for answer in row.answers:
            answers[" ".join(answer.lower().split())].add(row.part)
    across = sum("test" in parts and len(parts) > 1 for parts in answers.values())
    return {
        "the same row twice": ", ".join(f"{n} in {name}" for name, n in within.items()),
        "the same row but for case, space or order": ", ".join(f"{n} in {name}" for name, n in between.items()),
        "answers of the test that are in training too, under other prompts": str(across) if across else "",
    }



def _length(rows: Rows) -> Array:
    """Letters and words of the answer (of a pair: the first less the second) and of the prompt."""
    sizes = [[(len(a), len(a.split())) for a in r.answers] for r in rows.rows]
    if rows.paired:
        return np.array([np.subtract(a, b) for a, b in sizes], float)
    prompts = [(len(r.prompt), len(r.prompt.split())) for r in rows.rows]
    return np.array([(*s[0], *p) for s, p in zip(sizes, prompts, strict=True)], float)


def _position(rows: Rows) -> Array:
    """Where a row stands in its file: how far down, and among how many before it of the same prompt."""
    count: Counter[Part] = Counter()
    met: Counter[tuple[Part, str]] = Counter()
    out = []
    size = Counter(r.part for r in rows.rows)
    for r in rows.rows:
        out.append([count[r.part] / size[r.part], min(met[r.part, r.prompt], 7), count[r.part] % 2])
        count[r.part] += 1
        met[r.part, r.prompt] += 1
    return np.array(out)


def _source(rows: Rows) -> NDArray[Any] | None:
    """The source, one of many; None where rows name none, or fewer than two."""
    found = [r.source or "" for r in rows.rows]
    return np.array(found, object)[:, None] if len(set(found)) > 1 else None


MARKS: Mapping[str, Callable[[Rows], NDArray[Any] | None]] = {
    "length": _length, "position": _position, "source": _source,
}  # fmt: skip


def leak(rows: Rows, unit: NDArray[np.int64], mark: Callable[[Rows], NDArray[Any] | None]) -> tuple[Score, float]:
    """What a logistic regression on the mark alone reaches above the commoner label, over five folds of units, in all
    parts together; and the accuracy of the commoner label."""
    x, y = mark(rows), np.array([r.y for r in rows.rows])
    assert x is not None
    gain, chance = np.zeros(len(y)), np.zeros(len(y))
    for train, test in GroupKFold(FOLDS).split(x, y, unit):
        scale = OneHotEncoder(handle_unknown="ignore") if x.dtype == object else StandardScaler()
        model = make_pipeline(scale, LogisticRegression(max_iter=500)).fit(x[train], y[train])
        chance[test] = y[test] == (y[train].mean() > 0.5)
        gain[test] = (model.predict(x[test]) == y[test]) - chance[test]
    units, codes = np.unique(unit, return_inverse=True)
    mean, groups = float(gain.mean()), len(units)
    sums = np.bincount(codes, weights=gain - mean)
    se = float(np.sqrt((sums**2).sum() * groups / (groups - 1))) / len(gain)
    half = float(stats.t.ppf(0.5 + LEVEL / 2, groups - 1)) * se
    return Score(mean, se, mean - half, mean + half, FOLDS, len(gain)), float(chance.mean())
