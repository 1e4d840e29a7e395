"""The lab's small trained models as debaters and judge of protocols.py, so that every protocol runs without a key.

`planner` knows the judge and quotes the sentence that moves it most; `reader` does not, and quotes the sentence that
its own reading of the passage rests on. Both state as confidence what they believe of the judge.
"""

from collections.abc import Sequence

import numpy as np

from aarlab.kit.debate.task import Floats
from aarlab.kit.debate.task import Judge as Handle
from aarlab.problems.debate.reading.data import as_cases
from aarlab.problems.debate.reading.judge import Trained, bags, support, train_pair, vocabulary
from aarlab.problems.debate.reading.passages import Case
from aarlab.problems.debate.reading.protocols import Bench, Debater, Judge, Opinion, Seat, Speech
from aarlab.problems.debate.transcripts import Round


class Table:
    """Trained models at hand for some cases; debaters and judge know a case by its question and choices."""

    def __init__(self, models: Trained, rows: Sequence[Case]) -> None:
        cases = as_cases(rows)
        self.handle: Handle = models.fitted(cases).judge
        self.support: Floats = support(models.reader, models.bags(cases))
        self._number = {(c.question, c.answers): i for i, c in enumerate(rows)}

    @property
    def planner(self) -> Debater:
        """Greedy on the judge: quotes what leaves the largest margin between its own answer and the other."""

        def speak(seat: Seat) -> Speech:
            case, told = self._at(seat.case.question, seat.case.answers), _shown(seat.rounds)
            free = [i for i in range(len(seat.case.sentences)) if i not in told]
            options = np.array([[*told, i] for i in free])
            logits = self.handle.logits(np.full(len(free), case), options)
            margins = logits[:, seat.own] - logits[:, seat.other]
            best = int(margins.argmax())
            return _quote(seat, free[best], _chance(float(margins[best])))

        return speak

    @property
    def reader(self) -> Debater:
        """Quotes what its reading of the passage rests on, without regard to the judge."""

        def speak(seat: Seat) -> Speech:
            case, told = self._at(seat.case.question, seat.case.answers), _shown(seat.rounds)
            worth = self.support[case, : len(seat.case.sentences), seat.own].copy()
            worth[told] = -np.inf
            best = int(worth.argmax())
            logits = self.handle.logits(np.array([case]), np.array([[*told, best]]))[0]
            return _quote(seat, best, _chance(float(logits[seat.own] - logits[seat.other])))

        return speak

    @property
    def judge(self) -> Judge:
        """The trained judge: it believes as the quoted sentences make it, and asks nothing."""

        def opine(bench: Bench) -> Opinion:
            case, told = self._at(bench.question, bench.choices), _shown(bench.rounds)
            logits = self.handle.logits(np.array([case]), np.array([told], np.int64).reshape(1, -1))[0]
            first = _chance(float(logits[bench.sides[0]] - logits[bench.sides[1]]))
            return Opinion((first, 1 - first))

        return opine

    def _at(self, question: str, choices: tuple[str, ...]) -> int:
        return self._number[question, choices]


def models(rows: Sequence[Case], k: int, seed: int) -> Trained:
    """Train a judge and a reader on some cases."""
    cases = as_cases(rows)
    texts = cases.shown["more.question"], cases.values, cases.shown["more.choices"]
    known = vocabulary(texts)
    return train_pair(bags(*texts, known), cases.y, known, seed, k)


def _shown(rounds: Sequence[Round]) -> list[int]:
    """Numbers of the sentences quoted so far, each once."""
    return list(dict.fromkeys(s.item for r in rounds for s in r.statements if s.item is not None))


def _quote(seat: Seat, item: int, confidence: float) -> Speech:
    answer = seat.case.answers[seat.own]
    return Speech(answer, seat.case.sentences[item], f"This speaks for {answer}.", confidence)


def _chance(margin: float) -> float:
    return float(1 / (1 + np.exp(-np.clip(margin, -30, 30))))
