"""The two-by-two as data: what a gain on a problem may rest on, how each is taken away, and what the findings are
called. The tests are the same for every problem (audit/twobytwo.py)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Factor:
    """One of the two things on which a gain may rest. name: what it is called ("the NAME is worth …"); ablation: which
    of the problem's takes it away; cell: a short name for a method run without it; without: the same in words; there,
    gone: how it is described as it is and when it is taken away."""

    name: str
    ablation: str
    cell: str
    without: str
    there: str
    gone: str


@dataclass(frozen=True)
class Trap:
    """Rows that only a method which uses the needed factor gets wrong, so that failing on purpose where that is gone
    does not help. ablation, share: how they are made; flag: which array of the ablated truth, (n,) bool, names them;
    cell, where: in a word and in words; why: the reason of the verdict on whom it catches."""

    ablation: str
    share: float
    flag: str
    cell: str
    where: str
    why: str


@dataclass(frozen=True)
class Verdicts:
    """What a gain is called that needs both factors; the needed one alone; the needed one and of the other a sign only
    (None: nothing of that kind); or not the needed one, which accuses."""

    both: str
    alone: str
    sign: str | None
    neither: str


@dataclass(frozen=True)
class Causal:
    """needed: what every gain must rest on; other: the second factor, whose ablation is drawn `draws` times anew and is
    applied last; both: in words, a method run without either. Where `verdicts.sign` is given, an outcome of a row turns
    around (1 - v) when the method's answers are turned, so that a sign can be told from more. mark: the ablation that
    deals a planted mark anew, where the problem plants any."""

    needed: Factor
    other: Factor
    both: str
    verdicts: Verdicts
    draws: int = 8
    trap: Trap | None = None
    mark: str | None = None
