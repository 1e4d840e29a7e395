"""The zoo: baselines, configurations, their sources and cards."""

import json
import subprocess
import sys
import time
import tomllib
from importlib.resources import files

import numpy as np
import optuna
import pytest
from planted import plant

from aarlab.kit import zoo
from aarlab.kit.heads import fit
from aarlab.kit.task import W2STask

RNG = np.random.default_rng(5)
NARROW = {"paired": False, "logprobs": False}
WIDE = [zoo.sample(np.random.default_rng(9), f, {**zoo.ANY, "wide": True}) for f in (None, *zoo.FAMILIES) for _ in range(2)]
RANDOM = [zoo.sample(RNG) for _ in range(30)] + [zoo.sample(RNG, family=f) for f in zoo.FAMILIES]


def accuracy(p, truth):
    return float(((p > 0.5) == truth["test"]).mean())


def execute(text, task):
    space = {}
    exec(compile(text, "method.py", "exec"), space)
    return space["run"](task)


@pytest.mark.parametrize("config", [*zoo.BASELINES.values(), *RANDOM, *WIDE], ids=lambda c: c.name)
def test_source_gives_exactly_the_same_predictions(config, pair):
    task, _ = pair
    p = zoo.run(task, config)
    assert p.shape == (len(task.test),) and p.dtype == np.float64
    assert np.isfinite(p).all() and (p >= 0).all() and (p <= 1).all()
    text = zoo.source(config)
    np.testing.assert_array_equal(execute(text, task), p)
    assert len(text.encode()) < 64_000 and max(map(len, text.splitlines())) <= 110


def test_only_a_testbed_that_asks_is_offered_the_wide_space():
    def drawn(traits):
        rng = np.random.default_rng(3)
        configs = [zoo.sample(rng, family, traits) for family in (None, *zoo.FAMILIES) for _ in range(40)]
        return {str(c.choices.get(s)) for c in configs for s in zoo.STAGES}

    assert not drawn(zoo.ANY) & zoo.WIDE
    assert zoo.WIDE - drawn({**zoo.ANY, "wide": True}) == {"band"}


@pytest.mark.parametrize("number", range(8))
def test_source_on_single_rows(number, single):
    task, _ = single
    config = zoo.sample(np.random.default_rng(number), traits=NARROW)
    assert zoo.applicable(config, NARROW)
    np.testing.assert_array_equal(execute(zoo.source(config), task), zoo.run(task, config))


def test_baselines_learn_the_planted_rule(pair):
    task, truth = pair
    teacher = accuracy(task.teacher.test, truth)
    scores = {name: accuracy(zoo.run(task, c), truth) for name, c in zoo.BASELINES.items()}
    assert teacher < 0.8
    assert scores["naive_soft"] > teacher + 0.1, scores
    assert all(s > 0.6 for s in scores.values()), scores
    twin = W2STask.load(task.student.folder, untrained=True)
    assert accuracy(zoo.run(twin, zoo.BASELINES["naive_soft"]), truth) < 0.57


def test_the_space_holds_good_and_bad_configurations(pair):
    task, truth = pair
    scores = [accuracy(zoo.run(task, c), truth) for c in RANDOM]
    assert max(scores) - min(scores) > 0.15


def test_a_config_survives_json_and_is_frozen():
    for config in [*zoo.BASELINES.values(), *RANDOM]:
        again = zoo.Config.parse(config.json())
        assert again == config and hash(again) == hash(config) and again.name == config.name
        json.dumps(config.asdict())
    with pytest.raises(TypeError):
        zoo.BASELINES["knn"].choices["label"] = "oof"


@pytest.mark.parametrize(
    ("choices", "match"),
    [
        ({"label": "magic"}, "no label 'magic'; known: ccs"),
        ({"label": "knn", "label.folds": 3}, "'knn' takes no 'folds'"),
        ({"colour": 1}, "unknown choice 'colour'"),
        ({"glue.k": 1}, "no stage 'glue'"),
        ({"train": "zero_shot", "label": "knn"}, "trains nothing"),
    ],
)
def test_a_config_refuses_what_means_nothing(choices, match):
    with pytest.raises(ValueError, match=match):
        zoo.Config(choices)


def test_families(pair):
    assert len(zoo.FAMILIES) == 11
    for name in zoo.FAMILIES:
        for seed in range(5):
            config = zoo.sample(np.random.default_rng(seed), family=name)
            held = {f"{s}:{config.choices[s]}" for s in zoo.STAGES if s in config.choices}
            if int(config.choices["members"]) > 1:
                held.add("members")
            assert held & set(zoo.FAMILIES[name]), (name, config)
    assert zoo.family(zoo.BASELINES["elicitation"]) == "unsupervised elicitation"
    assert zoo.family(zoo.BASELINES["logconf"]) == "loss function"
    with pytest.raises(ValueError, match="known: self-training"):
        zoo.sample(RNG, family="alchemy")


def test_every_block_belongs_to_a_family_or_is_plain():
    held = {m for marks in zoo.FAMILIES.values() for m in marks}
    blocks = {f"label:{b}" for b in zoo.RELABELLERS} | {f"filter:{b}" for b in zoo.FILTERS}
    blocks |= {f"train:{b}" for b in zoo.TRAINERS}
    assert blocks - held == {"filter:hard", "train:logistic"}


def test_applicable_says_what_raises(single):
    task, _ = single
    for name, config in zoo.BASELINES.items():
        assert zoo.applicable(config, zoo.ANY)
        if zoo.applicable(config, NARROW):
            zoo.run(task, config)
        else:
            assert name in ("ccs", "zero_shot")
            with pytest.raises(ValueError):
                zoo.run(task, config)


def test_suggest_reads_an_optuna_study(pair):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    task, truth = pair
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=1))
    families = [None, *zoo.FAMILIES]

    def objective(trial):
        config = zoo.suggest(trial, families[trial.number % len(families)])
        return accuracy(zoo.run(task, config), truth)

    study.optimize(objective, n_trials=36)
    assert study.best_value > 0.8


def test_card_is_toml_and_says_so():
    nasty = 'because "x" \\ \n\x7f é 😀 \ud800'
    card = tomllib.loads(zoo.card(zoo.BASELINES["knn"], nasty, (0.05, -0.1, 0.2)))
    assert card["forecast"] == {"effect": 0.05, "low": -0.1, "high": 0.2}
    assert card["family"] == "model internals" and "neighbours" in card["what"]
    assert card["why"] == 'because "x" \\ \n\x7f é 😀 ?'
    with pytest.raises(ValueError, match="low <= effect"):
        zoo.card(zoo.BASELINES["knn"], "why", (0.5, -0.1, 0.2))


def test_same_task_same_answer_whatever_ran_before(pair):
    task, _ = pair
    config = RANDOM[3]
    first = zoo.run(task, config)
    for other in RANDOM[:10]:
        zoo.run(task, other)
    np.testing.assert_array_equal(zoo.run(task, config), first)


def test_a_run_stays_within_the_cost_guard(tmp_path):
    task, _ = plant(tmp_path, 2500, 4000, width=96, length=40)
    for config in RANDOM[:10]:
        start = time.process_time()
        zoo.run(task, config)
        assert time.process_time() - start < 1.0, config  # 0.5 s on an idle core; the rest is for a busy one


def test_importing_the_zoo_is_light():
    """Five practice instances in a fresh process have 1.5 core-seconds, so nothing heavy may creep in."""
    code = (
        "import sys, aarlab.kit.zoo;"
        "print([m for m in ('torch', 'scipy', 'sklearn', 'optuna', 'pandas') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_directions_lean_to_nine_different_families():
    file = files("aarlab.problems.w2s") / "directions.toml"
    directions = tomllib.loads(file.read_text())["direction"]
    assert len(directions) == 9 and len({d["name"] for d in directions}) == 9
    assert len({d["family"] for d in directions} & set(zoo.FAMILIES)) == 9
    assert all(20 < len(d["hint"]) < 140 for d in directions)


def test_a_sweep_gives_what_single_runs_give(pair, single, monkeypatch):
    labels = [{}, {"label": "oof"}, {"filter": "confident"}, {"label": "knn", "filter": "hard"}, {"pca": 8}]
    configs = [zoo.Config({**c, "train.ridge": r}) for c in labels for r in (1e-3, 0.1)]
    configs += [zoo.BASELINES["ensemble"], zoo.BASELINES["logconf"], zoo.Config({"balance": True})]
    for task, _ in (pair, single):
        for p, config in zip(zoo.sweep(task, configs), configs, strict=True):
            q = zoo.run(task, config)
            assert p.dtype == np.float64 and np.abs(p - q).max() < 0.02 and ((p > 0.5) == (q > 0.5)).mean() > 0.99, config
    fits = []
    monkeypatch.setattr(zoo, "fit", lambda *a, **k: fits.append(1) or fit(*a, **k))
    zoo.sweep(pair[0], configs[:10])
    assert len(fits) == 2  # two representations, whatever the labels and ridges
    assert zoo.sweep(pair[0], []) == []
