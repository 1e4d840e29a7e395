"""What the referee recorded, as transcripts in the one format: who revealed what, what was believed, who broke a rule."""

from pathlib import Path

import numpy as np
import pytest
from small import Small

from aarlab.kit.debate import play, space
from aarlab.kit.debate.task import DebateTask, JudgeTask
from aarlab.problems.debate import records, referee
from aarlab.problems.debate.problem import Debate
from aarlab.problems.debate.transcripts import Transcript, read, write


class Asked:
    def __init__(self, entry: str, method: object) -> None:
        self.entry, self.method = entry, method

    def __call__(self, folders: list, specs: list) -> list[np.ndarray]:
        from aarlab.kit.debate.task import load  # noqa: PLC0415

        return [task.accept(self.method(task)) for task in map(load, folders)]  # type: ignore[operator]


@pytest.fixture
def problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Debate:
    monkeypatch.setenv("AARLAB_CACHE", str(tmp_path / "cache"))
    return Debate(Small(), tmp_path / "vault")


def test_a_record_is_told_move_by_move(problem: Debate, tmp_path: Path) -> None:
    """Every honest game, with the verdict that was scored; the format is read back by whoever reads debates in words."""
    instance = problem.sealed("final", 0, b"x")
    output = problem.direct(instance, space.BASELINES["two-ply"])
    made = list(records.transcripts(instance, output, "debater"))
    s = referee.setting(instance)
    assert len(made) == len(s.y) * len(referee.POOL)
    for number, liar in enumerate(referee.POOL):
        mine = [t for t in made if t.by["lying"] == liar]
        assert [t.right for t in mine] == referee.wins(output.reshape(s.shape), s.y)[:, number].tolist()
        record = output.reshape(s.shape)[np.arange(len(s.y)), number, s.y]
        assert [[m.item for r in t.rounds for m in r.statements] for t in mine] == record[:, :-1].astype(int).tolist()
    for t in made:
        assert len(t.rounds) == s.k and all(r.belief is not None for r in t.rounds)
        assert [m.side for r in t.rounds for m in r.statements] == [0, 1] * (s.k // 2)
        row = int(t.case.rpartition("/")[2])
        assert (t.sides[0] == t.truth) == s.first[row] and t.truth == s.y[row]
        assert t.rounds[0].statements[0].quotation == str(s.values[row, t.rounds[0].statements[0].item])
    write(tmp_path / "t.jsonl", made)
    assert list(read(tmp_path / "t.jsonl")) == made


@pytest.mark.parametrize("bad, reason", [(0, "not a legal item"), ("again", "shown before"), (2.5, "not a legal item")])
def test_a_broken_rule_is_told_with_its_reason(problem: Debate, bad: object, reason: str) -> None:
    def method(task: DebateTask) -> np.ndarray:
        items = play.choose(task, play.greedy(task)).astype(float)
        second = (task.shown >= 0).sum(1) >= 2
        return np.where(second, task.shown[:, 0] if bad == "again" else bad, items)

    instance = problem.sealed("final", 0, b"x")
    output = problem.play([instance], Asked("debater", method))[0]
    made = list(records.transcripts(instance, output, "debater"))
    assert made and all(t.right == 0 for t in made)
    for t in made:
        (f,) = t.forfeits
        assert (f.reason, t.sides[f.side]) == (reason, t.truth) and f.round == len(t.rounds) and f.round in (2, 3)
        assert Transcript.model_validate_json(t.model_dump_json()) == t


def test_a_judge_is_known_by_its_last_word_alone(problem: Debate) -> None:
    """What the lab's judge would have believed on the way is not passed off as the method's."""

    def steady(task: JudgeTask) -> np.ndarray:
        rows = np.arange(len(task.a))
        return np.where(task.logits[rows, task.a] > task.logits[rows, task.b], 0.7, 0.3)

    instance = problem.sealed("final", 0, b"x")
    output = problem.play([instance], Asked("judge", steady))[0]
    made = list(records.transcripts(instance, output, "judge"))
    assert made and not any(t.forfeits for t in made)
    assert all(r.belief is None for t in made for r in t.rounds[:-1]) and {t.by["judge"] for t in made} == {"method"}
    assert all(max(t.verdict.belief) == pytest.approx(0.7) for t in made)


def test_a_protocol_cannot_be_told(problem: Debate) -> None:
    instance = problem.sealed("final", 0, b"x")
    output = problem.direct(instance, next(c for c in space.BASELINES.values() if c.role == "debater"))
    with pytest.raises(ValueError, match="does not say who revealed what"):
        list(records.transcripts(instance, output, "protocol"))
