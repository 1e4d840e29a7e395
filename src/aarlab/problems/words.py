"""What a problem's references are called, in reports, in messages and on the record."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Words:
    """floor, ceiling: as in "the worst of it is FLOOR"; brief: the ceiling where there is little room; between: where
    methods are placed, as in "every method is placed between BETWEEN"; rival: whom a method without a gain is no better
    than; start: the name on record of the floor as what a campaign starts from; scored: what a row's score averages to.
    """

    floor: str = "the floor"
    ceiling: str = "the ceiling"
    brief: str = "the ceiling"
    between: str = "the floor (0) and the ceiling (1)"
    rival: str = "the floor"
    start: str = "floor"
    scored: str = "score"
