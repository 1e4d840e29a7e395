"""On what a gain at debate may rest: on the truth, and on what the judge makes of the case."""

from aarlab.problems.causes import Causal, Factor, Verdicts
from aarlab.problems.words import Words

WORDS = Words(
    floor="the judge on random evidence", ceiling="a judge that sees whole cases", brief="the whole case",
    between="what the judge makes of random evidence (0) and what one makes of whole cases (1)",
    rival="random evidence", start="random evidence", scored="honest wins",
)  # fmt: skip

CAUSAL = Causal(
    needed=Factor(
        name="truth", ablation="exchanged-truth", cell="exchanged", without="with truth and lie exchanged by a coin",
        there="the case's own", gone="a coin's",
    ),
    other=Factor(
        name="judge", ablation="untrained-judge", cell="untrained", without="planning with an untrained judge",
        there="trained", gone="untrained",
    ),
    both="with both taken away",
    verdicts=Verdicts(both="debate", alone="evidence without a judge", sign=None, neither="persuasion of anything"),
    draws=2,
)  # fmt: skip
