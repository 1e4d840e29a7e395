"""The account: every query is charged, near-duplicates name each other, refusals are recorded, readings are single."""

from collections.abc import Callable

import pytest

from aarlab.kit import zoo
from aarlab.lab import account, service
from aarlab.lab.account import shape
from aarlab.lab.service import Lab, Refusal
from aarlab.lab.state import replay

Make = Callable[..., Lab]
Method = Callable[..., dict[str, str]]


def code(text: str, card: str = "a") -> dict[str, str]:
    return {"method.py": text, "card.toml": f'name = "{card}"\n'}


ONE = """import numpy as np

SEEDS = [1, 2]


def vote(rows, seed):
    return np.random.default_rng(seed).random(len(rows))


def run(task):
    return sum(vote(task.test, s) for s in SEEDS) / 2
"""
SAME = [
    ONE.replace("[1, 2]", "[3, -7, 99]").replace("/ 2", "/ 3.5"),
    ONE.replace("vote", "ballot").replace("rows", "x").replace("SEEDS", "GOOD"),
    ONE.replace("def run", "# a comment\ndef run").replace("task):", 'task):\n    """Says what."""'),
]
OTHER = [ONE.replace("sum", "max"), ONE.replace(".random(len", ".integers(2, size=len"), ONE.replace("default_rng", "PCG64")]


@pytest.mark.parametrize("text", SAME)
def test_constants_names_and_cards_make_no_other_program(text: str) -> None:
    assert shape(code(text, "another")) == shape(code(ONE))


@pytest.mark.parametrize("text", OTHER[1:])
def test_other_calls_make_another_program(text: str) -> None:
    assert shape(code(text)) != shape(code(ONE))


def test_a_renamed_builtin_is_a_name_like_any_other() -> None:
    assert shape(code(OTHER[0])) == shape(code(ONE))


def test_methods_of_the_zoo_are_not_all_one_program() -> None:
    shapes = {n: shape({"method.py": zoo.source(c)}) for n, c in zoo.BASELINES.items()}
    assert len(set(shapes.values())) > 1, shapes


def test_near_duplicates_are_charged_and_named(make_lab: Make, method: Method) -> None:
    lab = make_lab(submissions=20)
    for n in range(10):
        lab.answer("r1", {"verb": "submit", "files": method(f"return task.teacher.test * .{n + 1}")})
    lab.answer("r2", {"verb": "submit", "files": method("return task.teacher.test * .5")})  # r1's own, word for word
    lab.answer("r2", {"verb": "submit", "files": method("return np.sqrt(task.teacher.test)")})
    near = {s.id: s.near for s in lab.state.submissions.values()}
    assert near == {101: None, **dict.fromkeys(range(102, 111), 101), 201: 101, 202: None}
    assert account.queries(lab.state) == {"r1": 10, "r2": 2}, "none is answered from memory"
    assert account.patterns(lab.state) == ["r1: 9 of 10 submissions are near-duplicates"]
    assert replay(lab.ledger.events()) == lab.state


@pytest.mark.parametrize(("submissions", "quota", "taken"), [(2, None, 4), (20, 3, 3), (1, 9, 2)])
def test_quotas_of_researcher_and_lab(
    make_lab: Make, method: Method, submissions: int, quota: int | None, taken: int
) -> None:
    lab = make_lab(submissions=submissions, quota=quota)
    refused = 0
    for n in range(5):
        for who in ("r1", "r2"):
            try:
                lab.answer(who, {"verb": "submit", "files": method(f"return task.teacher.test * .{n + 1}")})
            except Refusal as refusal:
                assert "used up" in str(refusal)
                refused += 1
    assert len(lab.state.submissions) == taken and refused == 10 - taken
    recorded = list(lab.ledger.events("refused"))
    assert len(recorded) == refused and all(e.payload["verb"] == "submit" and e.payload["snapshot"] for e in recorded)
    assert account.left(lab.state, "r1", lab.quota) == 0


def test_refusals_flood_nothing(make_lab: Make, method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "MAX_REFUSALS", 3)
    lab = make_lab(submissions=1)
    for n in range(8):
        try:
            lab.answer("r1", {"verb": "submit", "files": method(f"return task.teacher.test * .{n + 1}")})
        except Refusal:
            pass
    assert account.refusals(lab.state, "r1") == 3 and account.refusals(lab.state, "r2") == 0


def test_a_second_reading_is_refused_and_recorded(
    walls: None, make_lab: Make, method: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = make_lab()
    lab.answer("r1", {"verb": "submit", "files": method("return task.teacher.test")})
    submission, yard = lab.state.submissions[101], lab.search_yard()  # any rows will do: what counts is the name
    with pytest.raises(Refusal, match="select is read when research has ended"):
        lab.read("select", submission, yard)
    lab.log("research_ended", why="time")
    first = lab.read("select", submission, yard)
    assert first.code == "ok" and [e.payload["set"] for e in lab.ledger.events("reading")] == ["select"]
    with pytest.raises(Refusal, match="select was read for submission 101; it is read once"):
        lab.read("select", submission, yard)
    lab.read("final", submission, yard)
    with pytest.raises(Refusal, match="is not a set that is read once"):
        lab.read("search", submission, yard)
    refused = [(e.actor, e.payload["set"]) for e in lab.ledger.events("refused")]
    assert refused == [("lab", "select"), ("lab", "select"), ("lab", "search")]
    assert len(list(lab.ledger.events("reading"))) == 2
    # The check is what refuses: without it the second reading goes through.
    monkeypatch.setattr(service.account, "may_read", lambda *_: None)
    assert lab.read("select", submission, yard).code == "ok"


def test_a_killed_campaign_gets_its_reading_again_once_and_runs_nothing(
    walls: None, make_lab: Make, method: Method
) -> None:
    lab = make_lab()
    lab.answer("r1", {"verb": "submit", "files": method("return task.teacher.test")})
    submission, yard = lab.state.submissions[101], lab.search_yard()
    lab.log("research_ended", why="time")
    lab.read("select", submission, yard)
    again = Lab(
        lab.folder, lab.problem, lab.ledger, lab.vault, replay(lab.ledger.events()), lab.budget, "bwrap", 2, 0.05
    )
    told = again.read("select", submission, yard)
    assert told.code == "ok" and told.runs == 0 and len(list(lab.ledger.events("reading"))) == 1
    with pytest.raises(Refusal, match="it is read once"):
        again.read("select", submission, yard)
    again.close()
    done = replay(lab.ledger.events())
    done.summary = {}
    assert account.may_read(done, "select", 101, resumed=True) is not None, "a finished campaign reads nothing"
