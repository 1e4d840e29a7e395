"""Protocols of Khan et al. 2024 as data, and one engine that plays them; debaters and judges are plain functions.

A debater sees the whole passage and speaks for an answer that it was given; the judge sees question, answers and what
was said, with quotations that were verified, never the passage. A debater that quotes what is not in the passage,
names no answer, or runs out of time forfeits, on record, and a judge that gives no probability has lapsed, on record;
nothing that they do ends the run. Only what they run on can, if it is out of reach.

* debate: both speak in every round, without seeing each other's statement of that round;
* consultancy: one advocate alone, for an answer dealt to it, right or wrong;
* interactive: the judge asks a question before each further round;
* best of n: each debater drafts n statements, and the one that the judge would believe most is made;
* swapped: the same, with the sides in the other order (`both_orders` plays the two).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from aarlab.problems.debate.reading.passages import Case
from aarlab.problems.debate.transcripts import (
    Forfeit,
    Reason,
    Round,
    Statement,
    Transcript,
    decide,
    is_quotation,
)


@dataclass(frozen=True)
class Protocol:
    """speakers: 2, or 1 for a consultancy; drafts: n of best of n; interactive: the judge asks; words: most words that
    a statement may quote; seconds: most that a debater may take for a draft."""

    name: str
    speakers: int = 2
    rounds: int = 3
    drafts: int = 1
    interactive: bool = False
    swapped: bool = False
    words: int = 40
    seconds: float = 120.0


class UnknownProtocol(ValueError):
    """No protocol of that name; the message lists those there are."""


class NoOpinion(ValueError):
    """A judge gave no probability."""


class OutOfReach(Exception):
    """What a debater or a judge runs on cannot be reached: no fault of theirs, so the game is not played."""


class NotOpened(OutOfReach):
    """It could not be reached to begin with: an unknown name, no key, no network."""


def protocols(drafts: int = 4) -> dict[str, Protocol]:
    """Every protocol by name; drafts: n of best of n."""
    return {
        p.name: p
        for p in (
            Protocol("debate"),
            Protocol("debate-swapped", swapped=True),
            Protocol("consultancy", speakers=1),
            Protocol("interactive-debate", interactive=True),
            Protocol("interactive-consultancy", speakers=1, interactive=True),
            Protocol(f"debate-best-of-{drafts}", drafts=drafts),
            Protocol(f"consultancy-best-of-{drafts}", speakers=1, drafts=drafts),
        )
    }


PROTOCOLS = protocols()
GROUPS: dict[str, Callable[[Protocol], bool]] = {
    "interactive": lambda p: p.interactive, "best-of": lambda p: p.drafts > 1, "swapped": lambda p: p.swapped,
    "all": lambda p: True,
}  # fmt: skip


def chosen(names: str, drafts: int = 4) -> list[Protocol]:
    """The protocols that a list of names means, separated by commas: single ones, or groups of them (GROUPS). Raises
    UnknownProtocol."""
    known = protocols(drafts)
    found: dict[str, Protocol] = {}
    for name in (n.strip() for n in names.split(",")):
        if name in known:
            found[name] = known[name]
        elif name in GROUPS:
            found |= {p.name: p for p in known.values() if GROUPS[name](p)}
        else:
            raise UnknownProtocol(f"{name!r} is no protocol; known are {', '.join([*known, *GROUPS])}")
    return [p for p in known.values() if p.name in found]


@dataclass(frozen=True)
class Seat:
    """What a debater sees when it is to speak: the case (whose truth is withheld: -1) and its name, the choice it holds
    and the other side's, its side (0 speaks first), the rounds before, what the judge asks, and which draft this is."""

    case: Case
    name: str
    own: int
    other: int
    side: int
    rounds: tuple[Round, ...]
    protocol: Protocol
    asked: str | None = None
    draft: int = 0


@dataclass(frozen=True)
class Speech:
    """What a debater says. answer: the choice it speaks for, by its text or as a letter; it must be the one it was
    given, or it forfeits."""

    answer: str | None
    quotation: str | None = None
    argument: str = ""
    confidence: float | None = None


@dataclass(frozen=True)
class Bench:
    """What a judge sees. case: its name; sides: the two choices in question, by number; rounds: all that was said; ask:
    whether it should ask a question too. In controls alone (controls.py): drawn, whether nobody argues and what is
    quoted was drawn by chance; passage: the whole text."""

    case: str
    question: str
    choices: tuple[str, ...]
    sides: tuple[int, int]
    rounds: tuple[Round, ...]
    ask: bool = False
    drawn: bool = False
    passage: str | None = None


@dataclass(frozen=True)
class Opinion:
    """belief: (2,) probability of each side's answer; question: to the debaters."""

    belief: tuple[float, float]
    question: str | None = None


Debater = Callable[[Seat], Speech]
Judge = Callable[[Bench], Opinion]


class _Forfeited(Exception):
    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason)
        self.reason: Reason = reason
        self.detail = detail


def play(
    case: Case, name: str, protocol: Protocol, sides: tuple[int, int], debaters: Sequence[Debater], judge: Judge,
    *, by: dict[str, str] | None = None, clock: Callable[[], float] = time.monotonic,
) -> Transcript:  # fmt: skip
    """Play one game about a case called `name`. sides: the choice that each debater speaks for; with a swapped protocol
    the second debater is moved to the front, with its choice. A consultancy takes one debater, for sides[0].

    Raises ValueError if there are not as many debaters as speakers, or both hold the same choice.
    """
    if len(debaters) != protocol.speakers or sides[0] == sides[1]:
        raise ValueError(f"{protocol.name} takes {protocol.speakers} debaters for different choices, not {sides}")
    seated: list[Debater | None] = [*debaters, *[None] * (2 - len(debaters))]
    if protocol.swapped:
        sides, seated = (sides[1], sides[0]), seated[::-1]
    blind = replace(case, truth=-1, support=(), kind="")
    rounds: list[Round] = []
    forfeits: list[Forfeit] = []
    calls, lapses, asked = 0, 0, None
    for number in range(protocol.rounds):
        made: list[Statement] = []
        for side, debater in enumerate(seated):
            if debater is None:
                continue
            seat = Seat(blind, name, sides[side], sides[1 - side], side, tuple(rounds), protocol, asked)
            try:
                statement, extra, lost = _speak(seat, debater, judge, clock)
            except _Forfeited as gone:
                forfeits.append(Forfeit(side=side, round=number, reason=gone.reason, detail=_plain(gone.detail)))
                continue
            made.append(statement)
            calls, lapses = calls + extra, lapses + lost
        ask = protocol.interactive and number < protocol.rounds - 1 and not forfeits
        so_far = Round(statements=tuple(made))
        if not forfeits:
            opinion = hear(judge, Bench(name, case.question, case.answers, sides, (*rounds, so_far), ask))
            calls += 1
            lapses += opinion is None
            asked = _plain(opinion.question) if ask and opinion and opinion.question else None
            so_far = Round(statements=tuple(made), belief=opinion.belief if opinion else None, question=asked)
        rounds.append(so_far)
        if forfeits:
            break
    return Transcript(
        game="reading", case=name, question=case.question, choices=case.answers, sides=sides,
        truth=case.truth if case.truth >= 0 else None, order=int(protocol.swapped), protocol=protocol.name,
        by=by or {}, rounds=tuple(rounds), forfeits=tuple(forfeits), verdict=decide(sides, forfeits, rounds),
        judge_calls=calls, lapses=lapses,
    )  # fmt: skip


def hear(judge: Judge, bench: Bench) -> Opinion | None:
    """What a judge says; None if it gave no probability or was late."""
    try:
        return judge(bench)
    except (NoOpinion, TimeoutError):
        return None


def both_orders(
    case: Case, name: str, protocol: Protocol, sides: tuple[int, int], debaters: Sequence[Debater], judge: Judge,
    *, by: dict[str, str] | None = None,
) -> tuple[Transcript, Transcript]:  # fmt: skip
    """The game as dealt, and with the sides in the other order."""
    one, two = (
        play(case, name, replace(protocol, swapped=swapped), sides, debaters, judge, by=by) for swapped in (False, True)
    )
    return one, two


def _speak(
    seat: Seat, debater: Debater, judge: Judge, clock: Callable[[], float]
) -> tuple[Statement, int, int]:
    """The statement that a side makes, how many calls of the judge it took to choose it among drafts, and how many of
    these lapsed. A draft that is not allowed is left out; if none is, the side forfeits for what was wrong with the
    first."""
    allowed: list[Statement] = []
    wrong: list[_Forfeited] = []
    for draft in range(seat.protocol.drafts):
        try:
            allowed.append(_draft(replace(seat, draft=draft), debater, clock))
        except _Forfeited as gone:
            wrong.append(gone)
            if gone.reason == "out of time":
                break
    if not allowed:
        raise wrong[0]
    if len(allowed) == 1:
        return allowed[0], 0, 0
    sides = (seat.own, seat.other) if seat.side == 0 else (seat.other, seat.own)
    asked, choices = seat.case.question, seat.case.answers
    heard = [
        hear(judge, Bench(seat.name, asked, choices, sides, (*seat.rounds, Round(statements=(s,))))) for s in allowed
    ]
    best = max(range(len(allowed)), key=lambda i: said.belief[seat.side] if (said := heard[i]) else -1.0)
    return allowed[best], len(allowed), heard.count(None)


def _draft(seat: Seat, debater: Debater, clock: Callable[[], float]) -> Statement:
    start = clock()
    try:
        speech = debater(seat)
    except OutOfReach:
        raise
    except TimeoutError as error:
        raise _Forfeited("out of time", str(error)) from None
    except Exception as error:  # whatever a debater does wrong is its own loss
        raise _Forfeited("failed", f"{type(error).__name__}: {error}"[:200]) from None
    if (took := clock() - start) > seat.protocol.seconds:
        raise _Forfeited("out of time", f"{took:.0f} s of {seat.protocol.seconds:.0f} s")
    named = choice_named(speech.answer, seat.case.answers)
    if named is None:
        raise _Forfeited("names no answer", (speech.answer or "")[:200])
    if named != seat.own:
        raise _Forfeited("changes its answer", seat.case.answers[named])
    item = None
    if speech.quotation is not None:
        if not is_quotation(speech.quotation, seat.case.passage):
            raise _Forfeited("not in the passage", speech.quotation[:200])
        if (said := len(speech.quotation.split())) > seat.protocol.words:
            raise _Forfeited("quotes too much", f"{said} words of {seat.protocol.words}")
        whole = [" ".join(s.split()) for s in seat.case.sentences]
        quoted = " ".join(speech.quotation.split())
        item = next((i for i, s in enumerate(whole) if quoted in s), None)
    sure = speech.confidence
    if sure is not None and not 0 <= sure <= 1:
        sure = None  # a number that is no probability says nothing
    argument = _plain(speech.argument)
    return Statement(side=seat.side, item=item, quotation=speech.quotation, argument=argument, confidence=sure)


def _plain(text: str) -> str:
    """The text as it can be written to a file: half a surrogate pair cannot."""
    return text.encode("utf-8", "replace").decode()


def choice_named(text: str | None, choices: Sequence[str]) -> int | None:
    """Which choice a text names: its letter (A, B, …, in either case, in brackets or with a full stop), or its words
    exactly but for case and white space; None if none."""
    plain = " ".join((text or "").split()).casefold()
    exact = [i for i, c in enumerate(choices) if " ".join(c.split()).casefold() == plain]
    letter = plain.strip("().: ")
    if not exact and len(letter) == 1 and 0 <= ord(letter) - ord("a") < len(choices):
        return ord(letter) - ord("a")
    return exact[0] if exact else None


def deal(case: Case, rng: np.random.Generator) -> tuple[int, int]:
    """The right choice against a wrong one, by dice: which wrong one, and who is in front (in a consultancy: whether
    the advocate is right). Raises ValueError for a case whose truth is not known."""
    if case.truth < 0:
        raise ValueError("nobody knows which choice of this case is right")
    wrong = [i for i in range(len(case.answers)) if i != case.truth]
    lie = wrong[int(rng.integers(len(wrong)))]
    return (case.truth, lie) if rng.random() < 0.5 else (lie, case.truth)


def season(
    rows: Sequence[Case], protocol: Protocol, debaters: Sequence[Debater], judge: Judge, seed: int,
    *, by: dict[str, str] | None = None,
) -> Iterator[Transcript]:  # fmt: skip
    """One game about each case, sides dealt by dice from the seed, transcripts as they come."""
    rng = np.random.default_rng(seed)
    for name, case in zip(names(rows), rows, strict=True):
        yield play(case, name, protocol, deal(case, rng), debaters, judge, by=by)


def names(rows: Sequence[Case]) -> list[str]:
    """What each case is called: where it was read, or its number."""
    return [case.source or str(number) for number, case in enumerate(rows)]
