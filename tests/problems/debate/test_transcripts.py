"""Transcripts: written and read back, refused with file and line, and what is measured on them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aarlab.problems.debate.transcripts import (
    BadTranscript,
    Round,
    Statement,
    Transcript,
    Verdict,
    accuracy,
    both_sure,
    clustered,
    escalation,
    from_games,
    is_quotation,
    read,
    write,
)


def transcript(*stated: tuple[float, float], answer: int | None = 1, case: str = "0") -> Transcript:
    rounds = tuple(
        Round(statements=tuple(Statement(side=s, confidence=c) for s, c in enumerate(pair)), belief=(0.4, 0.6))
        for pair in stated
    )
    return Transcript(
        game="reading", case=case, question="?", choices=("x", "y", "z"), sides=(0, 1), truth=1, protocol="debate",
        rounds=rounds, verdict=Verdict(answer=answer, belief=(0.4, 0.6)),
    )  # fmt: skip


PASSAGE = "The copper lamp is kept\nat the old mill. It is not  for sale; Ada was unable to sell it."


@pytest.mark.parametrize(
    "text",
    ["The copper lamp", "the  old\tmill", "kept at the", "It is not for sale;", "sell it.", " Ada ", PASSAGE, "copper"],
)
def test_quotations_that_stand_in_the_passage(text: str) -> None:
    assert is_quotation(text, PASSAGE)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "the copper lamp", "The copper kettle", "It is for sale", "The copper lamp is kept at the old mill!",
        "The copper lamp ... the old mill", "old mill It", "able to sell it", "The copper lam", "thecopper", "“Ada”", "the old mill.It",
        "The copper lamp is kept at the οld mill",  # a Greek letter
    ],
)  # fmt: skip
def test_near_misses_are_no_quotations(text: str) -> None:
    assert not is_quotation(text, PASSAGE)


@given(st.lists(st.sampled_from(["a", "bb", "a.", "c,", "not"]), min_size=1, max_size=12), st.data())
def test_any_run_of_words_is_a_quotation(words: list[str], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(words) - 1))
    end = data.draw(st.integers(start + 1, len(words)))
    assert is_quotation("\n ".join(words[start:end]), "  ".join(words))


def test_they_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    made = [transcript((0.5, 0.6)), transcript((0.1, 0.2), (0.3, 0.4), answer=None, case="é\n“")]
    write(path, made)
    assert len(path.read_text().splitlines()) == 2
    assert list(read(path)) == made


@pytest.mark.parametrize(
    "line, said",
    [
        ("{", "EOF"),
        ('{"version": 2}', "version"),
        ("{}", "Field required"),
        (transcript((0.5, 0.6)).model_dump_json().replace('"truth":1', '"truth":3'), "truth 3 is none of 3 choices"),
        (transcript((0.5, 0.6)).model_dump_json().replace('"sides":[0,1]', '"sides":[0]'), "sides"),
        (transcript((0.5, 0.6)).model_dump_json().replace('"confidence":0.5', '"confidence":1.5'), "confidence"),
        (transcript((0.5, 0.6)).model_dump_json().replace("[0.4,0.6]", "[-0.4,1.4]"), "probabilities"),
        (transcript((0.5, 0.6)).model_dump_json().replace('"game"', '"gamble"'), "game"),
    ],
)
def test_what_is_malformed_is_refused_with_file_and_line(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(transcript((0.5, 0.5)).model_dump_json() + "\n" + line + "\n")
    with pytest.raises(BadTranscript) as refused:
        list(read(path))
    assert str(refused.value).startswith(f"{path}:2: ") and said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_escalation_and_mutual_certainty() -> None:
    rising = [transcript((0.6, 0.6), (0.7, 0.8), case=str(i)) for i in range(3)]
    assert escalation(rising).mean == pytest.approx(0.15)
    falling = [transcript((0.9, 0.6), (0.7, 0.8), case=str(i)) for i in range(3)]
    assert escalation(falling).mean == pytest.approx(0.0)
    assert escalation([transcript((0.9, 0.9))]).mean is None
    assert both_sure([*rising, transcript((0.9, 0.75)), transcript((0.9, 0.74))]).mean == pytest.approx(0.2)


def test_both_orders_are_one_case() -> None:
    twice = [transcript((0.5, 0.5), answer=a, case="7") for a in (1, 0)]
    score = accuracy([*twice, transcript((0.5, 0.5), case="8"), transcript((0.5, 0.5), answer=None, case="9")])
    assert score.mean == pytest.approx((1 + 0 + 1 + 0.5) / 4) and (score.seeds, score.n) == (3, 4)


def test_questions_about_one_passage_are_one_unit() -> None:
    """A passage asked about ten times is no more evidence than one asked about once, if all its answers agree."""
    rng = np.random.default_rng(0)
    told = rng.random(40) < 0.6
    once = clustered([float(v) for v in told], [str(i) for i in range(40)], "")
    often = clustered([float(v) for v in told for _ in range(10)], [str(i) for i in range(40) for _ in range(10)], "")
    naive = clustered([float(v) for v in told for _ in range(10)], [str(i) for i in range(400)], "")
    assert often.se == pytest.approx(once.se) and often.n == 400 and often.seeds == 40
    assert naive.se is not None and once.se is not None and naive.se < once.se / 2  # what clustering is for
    a, b = (transcript((0.5, 0.5), case=c).model_copy(update={"unit": "p"}) for c in "78")
    assert accuracy([a, b]).se is None and accuracy([a, b]).why == "one unit has no standard error"


def test_no_spread_is_no_certainty() -> None:
    ten = [transcript((0.5, 0.5), case=str(i)) for i in range(10)]
    score = accuracy(ten)
    assert score.mean == 1 and score.high == 1 and score.low == pytest.approx(0.6915, abs=1e-3)
    assert accuracy([*ten, transcript((0.5, 0.5), answer=0, case="x")]).high == 1


def test_games_played_as_arrays_become_transcripts() -> None:
    """Digits and reading alike: two games of four pixels, one of which a side forfeits."""
    made = list(from_games(
        game="digits", protocol="debate", cases=["image 4", "image 9"], question=["which digit?"] * 2,
        choices=[[str(d) for d in range(10)]] * 2, values=np.arange(128).reshape(2, 64) / 16, case=np.array([1, 0]),
        sides=np.array([[3, 8], [5, 1]]), shown=np.array([[7, 8, 9, 10], [1, -1, -1, -1]]), schedule=np.array([0, 1, 0, 1]),
        beliefs=np.array([[0.5, 0.4, 0.6, 0.7], [0.9, 0.5, 0.5, 0.5]]), truth=np.array([1, 3]),
    ))  # fmt: skip
    assert [t.verdict.answer for t in made] == [3, 5] and [t.right for t in made] == [1.0, 0.0]
    assert [s.quotation for r in made[0].rounds for s in r.statements] == ["4.4375", "4.5", "4.5625", "4.625"]
    assert made[1].forfeits[0].side == 1 and made[1].verdict.belief == (1.0, 0.0)
    assert [Transcript.model_validate_json(t.model_dump_json()) for t in made] == made
