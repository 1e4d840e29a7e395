"""What a judge makes of a question if nobody chooses for it what it sees: the controls of a debate, like for like.

The same judge, between the same two answers of the same case, asked once:
* random quotations: as many as in the game, of the same size, in the same places, drawn from the passage by chance;
* arguments alone: what was said in the game, with its quotations struck out (for a judge that reads arguments);
* no quotations: the question and the answers;
* whole passage: all of the text, the ceiling.

A control is a transcript whose `protocol` is its name, and after a slash the game's that it belongs to.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from aarlab.problems.debate.reading.passages import Case
from aarlab.problems.debate.reading.protocols import Bench, Judge, hear
from aarlab.problems.debate.transcripts import Round, Statement, Transcript, decide

RANDOM, ARGUMENTS, NOTHING, WHOLE = "random quotations", "arguments alone", "no quotations", "whole passage"


def of_case(case: Case, name: str, sides: tuple[int, int], judge: Judge) -> list[Transcript]:
    """The controls that no game matters to: no quotations, whole passage."""
    nothing = Bench(name, case.question, case.answers, sides, ())
    return [
        _asked(case, name, sides, (), nothing, judge, NOTHING),
        _asked(case, name, sides, (), replace(nothing, passage=case.passage), judge, WHOLE),
    ]


def of_game(case: Case, game: Transcript, judge: Judge, seed: int, *, arguments: bool) -> list[Transcript]:
    """The controls of one game: random quotations, and where the judge reads arguments, these alone."""
    draw = _drawer(case, [seed, *f"{game.protocol} {game.case}".encode()])
    drawn = tuple(
        Round(statements=tuple(draw(s) for s in r.statements if s.quotation is not None)) for r in game.rounds
    )
    bench = Bench(game.case, case.question, case.answers, game.sides, drawn, drawn=True)
    made = [_asked(case, game.case, game.sides, drawn, bench, judge, f"{RANDOM}/{game.protocol}")]
    if arguments:
        said = tuple(
            r.model_copy(
                update={
                    "statements": tuple(s.model_copy(update={"quotation": None, "item": None}) for s in r.statements),
                    "belief": None,
                }
            )
            for r in game.rounds
        )
        bench = replace(bench, rounds=said, drawn=False)
        made.append(_asked(case, game.case, game.sides, said, bench, judge, f"{ARGUMENTS}/{game.protocol}"))
    return made


def _asked(
    case: Case, name: str, sides: tuple[int, int], rounds: tuple[Round, ...], bench: Bench, judge: Judge, control: str
) -> Transcript:
    opinion = hear(judge, bench)
    told = (*rounds[:-1], (rounds or (Round(statements=()),))[-1].model_copy(
        update={"belief": opinion.belief if opinion else None}
    ))  # fmt: skip
    return Transcript(
        game="reading", case=name, question=case.question, choices=case.answers, sides=sides,
        truth=case.truth if case.truth >= 0 else None, protocol=control, rounds=told,
        verdict=decide(sides, (), told), judge_calls=1, lapses=int(opinion is None),
    )  # fmt: skip


def _drawer(case: Case, seed: Sequence[int]) -> Callable[[Statement], Statement]:
    """A quotation by chance for each that was made: a whole sentence for a whole one (another for another, the same for
    the same), as many words at random within a sentence for a part of one, anywhere for one that goes beyond it."""
    rng = np.random.default_rng(seed)
    other = rng.permutation(len(case.sentences))

    def cut(text: str, size: int) -> str:
        told = text.split()
        start = int(rng.integers(max(len(told) - size, 0) + 1))
        return " ".join(told[start : start + size])

    def draw(s: Statement) -> Statement:
        words = (s.quotation or "").split()
        if s.item is None:
            return Statement(side=s.side, quotation=cut(case.passage, len(words)))
        item = int(other[s.item])
        whole = words == case.sentences[s.item].split()
        text = case.sentences[item]
        return Statement(side=s.side, item=item, quotation=text if whole else cut(text, len(words)))

    return draw


def words_quoted(t: Transcript) -> int:
    return sum(len((s.quotation or "").split()) for r in t.rounds for s in r.statements)
