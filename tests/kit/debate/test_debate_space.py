"""The space: a method that is written does what the configuration does, and nothing that means nothing is in it."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from games import task

from aarlab.kit.answers import Refused
from aarlab.kit.choices import table
from aarlab.kit.debate import space
from aarlab.kit.debate.task import JudgeTask, ProtocolTask

TRAITS = {"game": "digits", "k": 4, "answers": 3}


def judged(seed: int = 0, m: int = 40) -> JudgeTask:
    rng = np.random.default_rng(seed)
    inputs = rng.random((50, 7)).astype("f4")
    return JudgeTask(
        Path(), "digits", 4, 3, seed, np.argsort(rng.random((m, 7)), 1)[:, :4], rng.random((m, 4)).astype("f4"),
        rng.integers(2, size=(m, 4)), np.zeros(m, int), rng.integers(1, 3, size=m), {}, rng.normal(size=(m, 3)).astype("f4"),
        {"inputs": inputs, "legal": inputs > 0.2, "y": rng.integers(3, size=50)},
    )


TASKS = {"debater": task(0), "judge": judged(), "protocol": ProtocolTask(Path(), "digits", 4, 3, 0)}


def configs() -> list[space.Config]:
    rng = np.random.default_rng(1)
    drawn = [space.sample(rng, family, TRAITS) for family in space.FAMILIES for _ in range(3)]
    return [*space.BASELINES.values(), *drawn]


@pytest.mark.parametrize("config", configs(), ids=lambda c: c.name)
def test_a_written_method_answers_as_its_configuration(config: space.Config, tmp_path: Path) -> None:
    (tmp_path / "method.py").write_text(space.source(config))
    defined = runpy.run_path(str(tmp_path / "method.py"))
    assert [e for e in space.PLANS if e in defined] == [config.role]
    of = TASKS[config.role]
    assert np.array_equal(np.asarray(defined[config.role](of), float), space.run(of, config))
    of.accept(space.run(of, config))


@pytest.mark.parametrize("config", configs()[::4], ids=lambda c: c.name)
def test_a_configuration_survives_being_written_down(config: space.Config) -> None:
    assert space.Config.parse(config.json()) == config
    assert space.read_card(space.card(config, "why", (0.0, -1.0, 1.0)) + "") is not None
    text = f'name = "x"\n{table(config)}'
    assert space.read_card(text) == config
    planted = space.plant_card(text, 3)
    assert planted is not None and space.read_card(planted) != config
    assert space.read_card(planted).role == config.role


def test_what_means_nothing_is_refused() -> None:
    for choices in (
        {"role": "jury", "plan": "given"}, {"role": "judge", "plan": "greedy"}, {"role": "debater", "plan": "greedy", "plan.depth": 2},
        {"role": "judge", "plan": "given", "tie": "first"}, {},
    ):
        with pytest.raises(ValueError, match=r"no |takes no|unknown"):
            space.Config(choices)
    with pytest.raises(ValueError, match="no family"):
        space.sample(np.random.default_rng(0), "magic", TRAITS)
    with pytest.raises(ValueError, match="cannot answer"):
        space.run(TASKS["judge"], space.BASELINES["greedy"])


def test_only_what_can_run_is_offered() -> None:
    rng = np.random.default_rng(2)
    reading = {"game": "reading", "k": 4, "answers": 4}
    for family in space.FAMILIES:
        assert all(space.applicable(space.sample(rng, family, reading), reading) for _ in range(5))
    assert not space.applicable(space.BASELINES["minimax"], {**TRAITS, "k": 6})


def test_schedules_are_fair() -> None:
    for k in (2, 4, 6, 8):
        for plan in (space.alternate, space.snake, space.blocks):
            ProtocolTask(Path(), "digits", k, 3, 0).accept(plan(k))


@pytest.mark.parametrize(("said", "code"), [
    ([0, 0, 0, 1], "out_of_range"), ([0, 1, 0.5, 0.5], "out_of_range"), ([0, 1], "wrong_shape"), ([0, 1, np.nan, 1], "not_finite"), (None, "wrong_type"),
])  # fmt: skip
def test_an_unfair_schedule_is_refused(said: object, code: str) -> None:
    with pytest.raises(Refused) as refused:
        TASKS["protocol"].accept(said)
    assert refused.value.code == code


@pytest.mark.parametrize(("change", "code"), [(np.nan, "not_finite"), (1.5, "out_of_range"), (-0.1, "out_of_range")])
def test_a_judge_that_says_no_probability_is_refused(change: float, code: str) -> None:
    said = np.full(40, 0.5)
    said[7] = change
    with pytest.raises(Refused) as refused:
        TASKS["judge"].accept(said)
    assert refused.value.code == code


def test_a_debater_that_says_too_little_is_refused() -> None:
    with pytest.raises(Refused):
        TASKS["debater"].accept(np.zeros(3))
    with pytest.raises(Refused):
        TASKS["debater"].accept(np.full(len(TASKS["debater"].case), np.inf))
