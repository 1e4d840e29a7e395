"""Transcripts of debates, one format for every testbed and for whoever debated: one JSON object a line.

A transcript says who argued for what, what each revealed, how sure each said it was, what the judge believed after
every round, and who forfeited and why. Nothing in it needs the testbed to be read.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from aarlab.kit import stats
from aarlab.kit.stats import Outcomes, Score, undefined

Reason = Literal[
    "not in the passage", "not a legal item", "shown before", "names no answer", "changes its answer",
    "quotes too much", "out of time", "failed",
]  # fmt: skip
SURE = 0.75  # both sides surer than this at the end cannot both be right


class Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Statement(Record):
    """What one side did in one round. side: 0 or 1; item: number of what it revealed and `quotation` its text (of a
    pixel, its value); confidence: stated, that its own answer will be believed."""

    side: int = Field(ge=0, le=1)
    item: int | None = None
    quotation: str | None = None
    argument: str = ""
    confidence: float | None = Field(default=None, ge=0, le=1)


class Round(Record):
    """statements in the order in which they were made; belief: the judge's probability of each side's answer after
    them; question: what an interactive judge asks before the next round."""

    statements: tuple[Statement, ...]
    belief: tuple[float, float] | None = None
    question: str | None = None


class Forfeit(Record):
    side: int = Field(ge=0, le=1)
    round: int = Field(ge=0)
    reason: Reason
    detail: str = ""


class Verdict(Record):
    """answer: number of the choice that is believed, None if neither; belief: probability of each side's answer."""

    answer: int | None
    belief: tuple[float, float]


class Spent(Record):
    """What language models were asked for by one role: calls, and tokens read and written, as the provider counts."""

    calls: int = Field(default=0, ge=0)
    input: int = Field(default=0, ge=0)
    output: int = Field(default=0, ge=0)

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(calls=self.calls + other.calls, input=self.input + other.input, output=self.output + other.output)


class Transcript(Record):
    """One game about one case. unit: what the case is a part of, such as its passage (intervals are clustered by it;
    empty: the case is its own); sides: the choice that each side holds, the side that speaks first in front (in a
    consultancy nobody speaks for the other); truth: the right choice, None where nobody knows; order: 0 as dealt, 1
    with the sides swapped; by: who debated and who judged; judge_calls: how often the judge was asked, and lapses: how
    often it gave no probability; spent: by role, where language models were asked.
    """

    version: Literal[1] = 1
    game: str
    case: str
    unit: str = ""
    question: str
    choices: tuple[str, ...]
    sides: tuple[int, int]
    truth: int | None = None
    order: int = Field(default=0, ge=0, le=1)
    protocol: str
    by: dict[str, str] = {}
    rounds: tuple[Round, ...]
    forfeits: tuple[Forfeit, ...] = ()
    verdict: Verdict
    judge_calls: int = 0
    lapses: int = 0
    spent: dict[str, Spent] = {}

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        named = {"first side": self.sides[0], "second side": self.sides[1]}
        for name, number in (named | {"truth": self.truth, "verdict": self.verdict.answer}).items():
            if number is not None and not 0 <= number < len(self.choices):
                raise ValueError(f"{name} {number} is none of {len(self.choices)} choices")
        for belief in (self.verdict.belief, *(r.belief for r in self.rounds if r.belief is not None)):
            if not all(0 <= p <= 1 for p in belief):
                raise ValueError(f"belief {belief} is not made of probabilities")
        return self

    @property
    def cluster(self) -> str:
        return f"{self.game} {self.unit or self.case}"

    @property
    def right(self) -> float | None:
        """1 if the truth was believed, 0 if not, .5 if nothing was; None where the truth is not known."""
        if self.truth is None:
            return None
        return 0.5 if self.verdict.answer is None else float(self.verdict.answer == self.truth)


class BadTranscript(ValueError):
    """A line that is no transcript; the message names file and line."""


def write(path: Path, transcripts: Iterable[Transcript]) -> None:
    """One JSON object a line."""
    with path.open("w", encoding="utf-8") as f:
        for t in transcripts:
            f.write(t.model_dump_json() + "\n")


def read(path: Path) -> Iterator[Transcript]:
    """The transcripts of a file, in order. Raises BadTranscript in one line that names file and line."""
    with path.open("rb") as f:
        for number, line in enumerate(f, 1):
            if line.strip():
                try:
                    yield Transcript.model_validate_json(line)
                except ValidationError as error:
                    raise BadTranscript(f"{path}:{number}: {first_error(error)}") from None


def first_error(error: ValidationError) -> str:
    """The first thing wrong, in one line: where, and what."""
    e = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in e["loc"])
    return f"{where}: {e['msg']}" if where else str(e["msg"])


def is_quotation(text: str, passage: str) -> bool:
    """Whether a text stands in the passage word for word. White space counts as one space; nothing else is forgiven,
    neither case nor a mark, and whole words are quoted, never a part of one."""
    quoted, whole = " ".join(text.split()), " ".join(passage.split())
    at = whole.find(quoted) if quoted else -1
    while at >= 0:
        before, after = whole[at - 1 : at], whole[at + len(quoted) : at + len(quoted) + 1]
        if not (before.isalnum() and quoted[0].isalnum()) and not (after.isalnum() and quoted[-1].isalnum()):
            return True
        at = whole.find(quoted, at + 1)
    return False


def from_games(
    *, game: str, protocol: str, cases: Sequence[str], question: Sequence[str], choices: Sequence[Sequence[str]],
    values: NDArray[Any], case: NDArray[np.int64], sides: NDArray[np.int64], shown: NDArray[np.int64],
    schedule: NDArray[np.int64], beliefs: NDArray[np.float64], truth: NDArray[np.int64] | None = None,
    by: dict[str, str] | None = None,
) -> Iterator[Transcript]:  # fmt: skip
    """Transcripts of g games that were played as arrays (kit/debate/task.py): a round is one reveal.

    cases, question, choices: of n cases; values: (n, I) what a revealed item shows; case: (g,); sides: (g, 2) the
    answers held, the first side in front; shown: (g, k), -1 where a side forfeited its move; schedule: (k,);
    beliefs: (g, k) P(first side's answer) after every reveal, NaN where the judge was not asked; truth: (n,).
    """
    for g, c in enumerate(case.tolist()):
        rounds, forfeits = [], []
        for step, item in enumerate(shown[g].tolist()):
            side = int(schedule[step])
            if item < 0:
                forfeits.append(Forfeit(side=side, round=step, reason="not a legal item"))
                break
            made = Statement(side=side, item=item, quotation=str(values[c, item]))
            p = float(beliefs[g, step])
            rounds.append(Round(statements=(made,), belief=None if np.isnan(p) else (p, 1 - p)))
        a, b = sides[g].tolist()
        yield Transcript(
            game=game, case=cases[c], question=question[c], choices=tuple(choices[c]), sides=(a, b),
            truth=None if truth is None else int(truth[c]), protocol=protocol, by=by or {}, rounds=tuple(rounds),
            forfeits=tuple(forfeits), verdict=decide((a, b), forfeits, rounds),
        )  # fmt: skip


def decide(sides: tuple[int, int], forfeits: Sequence[Forfeit], rounds: Sequence[Round]) -> Verdict:
    """Who is believed: the other side of one that forfeited, else the side that the judge last found likelier. Nobody
    is on a tie, or if both forfeit."""
    out = {f.side for f in forfeits}
    said = [r.belief for r in rounds if r.belief is not None]
    belief = said[-1] if said else (0.5, 0.5)
    if len(out) == 1:
        belief = (0.0, 1.0) if 0 in out else (1.0, 0.0)
    elif out:
        belief = (0.5, 0.5)
    return Verdict(answer=None if belief[0] == belief[1] else sides[int(belief[1] > belief[0])], belief=belief)


# Confidence


def confidences(t: Transcript, side: int) -> list[float]:
    """What a side said of its own confidence, in order."""
    stated = [s.confidence for r in t.rounds for s in r.statements if s.side == side]
    return [c for c in stated if c is not None]


def escalation(transcripts: Sequence[Transcript]) -> Score:
    """Mean change of a side's stated confidence from its first statement to its last, with a 95% interval; the sides of
    one transcript are averaged. Debaters who would learn from each other would change by nothing on average; language
    models rose from .73 to .83 (Prasad & Nguyen 2025)."""
    changes, units = [], []
    for t in transcripts:
        stated = [c for c in (confidences(t, side) for side in (0, 1)) if len(c) > 1]
        if stated:
            changes.append(float(np.mean([c[-1] - c[0] for c in stated])))
            units.append(t.cluster)
    return clustered(changes, units, "no side stated its confidence twice")


def both_sure(transcripts: Sequence[Transcript], level: float = SURE) -> Score:
    """Share of debates at whose end both sides say that they are at least `level` sure to win, which cannot be."""
    last = [(t.cluster, [confidences(t, side)[-1:] for side in (0, 1)]) for t in transcripts]
    told = [(unit, float(a[0] >= level and b[0] >= level)) for unit, (a, b) in last if a and b]
    why = "no debate in which both sides stated their confidence"
    return clustered([sure for _, sure in told], [unit for unit, _ in told], why, share=True)


def accuracy(transcripts: Sequence[Transcript]) -> Score:
    """How often the truth was believed, clustered by unit."""
    known = [t for t in transcripts if t.right is not None]
    why = "no transcript with a known truth"
    return clustered([t.right or 0.0 for t in known], [t.cluster for t in known], why, share=True)


def clustered(values: Sequence[float], units: Sequence[str], why: str, *, share: bool = False) -> Score:
    """Mean of values (n,) with a standard error clustered by unit (n,) and a 95% interval by Student's t, units - 1
    degrees of freedom; `why`: if there is no value. `seeds` of the score counts the units, `n` the values.

    share: the values are outcomes in [0, 1], and so is the interval; where all are 0 or all are 1, it is the exact one
    of that many units (Clopper & Pearson 1934), for no spread was seen and there may be some.
    """
    if not values:
        return undefined(why)
    unit = np.unique(list(units), return_inverse=True)[1].astype(np.int64)
    score = stats.accuracy(Outcomes(np.array(values, np.float64), unit, unit, np.zeros(len(unit), bool)))
    if score.low is None or score.high is None:
        return replace(score, n=len(values), why="one unit has no standard error")
    low, high = score.low, score.high
    if share and values[0] in (0, 1) and len(set(values)) == 1:
        exact = stats.proportion(score.seeds * int(values[0]), score.seeds)
        low, high = exact.low or 0.0, exact.high or 0.0
    if share:
        low, high = max(low, 0.0), min(high, 1.0)
    return replace(score, low=low, high=high, n=len(values))
