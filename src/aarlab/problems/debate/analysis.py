"""The analysis of a testbed of debate: floors like for like, matched controls, calibration, ratings, a weaker judge.

Measured on the sealed set `final` of a fixed, public secret (as in check.py), ten instances, each with a judge of its
own. Everything is an honest figure about the kit's own debaters; no submitted method is involved.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from aarlab.kit.cache import cache_dir
from aarlab.kit.debate.task import Floats
from aarlab.kit.stats import Outcomes, Score, accuracy, difference, join, reliability
from aarlab.problems.debate import lies, matches, referee
from aarlab.problems.debate.check import SECRET, forfeits
from aarlab.problems.debate.referee import Array, Setting, ahead

if TYPE_CHECKING:
    from aarlab.problems.debate.problem import Debate

# Irving, Christiano & Amodei 2018, table 1, on MNIST: one random view, and honest play. Not the same question twice:
# the first names one of ten answers, the second chooses between two.
PUBLISHED = {4: {"one_view": 0.482, "debate": 0.852}, 6: {"one_view": 0.594, "debate": 0.889}}
VIEWS, RESAMPLES = 20, 100
WEAKER = 0.15  # share of the training cases that a weaker judge sees
STRONG = "two-ply"

Part = dict[str, Any]


def judged(problem: "Debate", number: int) -> Part:
    """Everything measured on one instance: (n,) outcomes by name, and counts. Made to be run in a worker."""
    instance = vault(problem).sealed("final", number, SECRET)
    s, t = referee.setting(instance), instance.truth
    every, lie = np.arange(len(s.y)), s.lie[np.arange(len(s.y)), s.y]
    rows: dict[str, Array] = {"ceiling": t["ceiling"].astype(np.float64)}
    looks = matches.seen(s, matches.views(s, VIEWS, 0))
    rows["one_view"] = np.mean(looks.argmax(2) == s.y, axis=0)
    pair = looks[:, every, s.y] - looks[:, every, lie]
    rows["floor"] = np.mean(ahead(pair), axis=0)
    games = matches.honest_against_liars(s)
    for i, honest in enumerate(games.players):
        for j, liar in enumerate(games.players):
            played = (games.one == i) & (games.two == j)
            if played.any():
                rows[f"{honest} against {liar}"] = games.won[played]
    rows |= _label_free(s)
    rows["consultancy for truth"], rows["consultancy for a lie"] = matches.consultancy(s)
    rows["consultancy"] = (rows["consultancy for truth"] + rows["consultancy for a lie"]) / 2
    strong = games.players.index(STRONG)
    final = games.margin[(games.one == strong) & (games.two == strong)]
    return {
        "rows": rows, "unit": t["unit"], "ood": t["ood"],
        "ratings": _counts(games),
        "players": list(games.players),
        "calibration": {"after a debate": _dealt(final, s.seed), "on a random view": _dealt(pair[0], s.seed)},
        "forfeits": {"kit": _illegal(s, games), **forfeits(problem, instance)} if number == 0 else None,
    }  # fmt: skip


def weaker(problem: "Debate", numbers: Sequence[int], share: float = WEAKER) -> Part:
    """Floor and honest play under judges trained on a share of the training cases, with lies that are best for them."""
    sealed = vault(problem)
    instances = [sealed.sealed("final", n, SECRET) for n in numbers]
    draw = sealed.drawn("final", SECRET)
    order = {int(u): i for i, u in enumerate(draw.cases.unit)}
    parts = [draw.cases.take(np.array([order[int(u)] for u in i.truth["unit"]])) for i in instances]
    made: list[Part] = []
    for instance, fit in zip(
        instances, problem.testbed.fit(draw, parts, [i.seed % 2**63 for i in instances], share), strict=True
    ):
        s = replace(referee.setting(instance), judge=fit.judge)
        s = replace(s, lie=lies.deal(s))
        every, lie = np.arange(len(s.y)), s.lie[np.arange(len(s.y)), s.y]
        looks = matches.seen(s, matches.views(s, VIEWS, 0))
        zeros, ones = np.zeros(len(every), np.int64), np.ones(len(every), np.int64)
        played = matches.match(s, [STRONG, "greedy"], every, s.y, lie, zeros, zeros, s.first)
        greedy = matches.match(s, [STRONG, "greedy"], every, s.y, lie, ones, zeros, s.first)
        made.append({
            "rows": {
                "one_view": np.mean(looks.argmax(2) == s.y, axis=0),
                "floor": np.mean(ahead(looks[:, every, s.y] - looks[:, every, lie]), axis=0),
                f"{STRONG} against {STRONG}": played.won, f"greedy against {STRONG}": greedy.won,
            },
            "unit": instance.truth["unit"], "ood": instance.truth["ood"],
        })  # fmt: skip
    return {"share": share, **{name: _score(made, name).asdict() for name in made[0]["rows"]}}


def table(problem: "Debate", parts: Sequence[Part]) -> dict[str, Any]:
    """One testbed's part of the answer, from what `judged` made of its instances. S fields as in `Score.asdict`."""
    names = list(parts[0]["rows"])
    scores = {n: _score(parts, n) for n in names}
    honest = [n for n in names if " against " in n]
    against: dict[str, dict[str, Any]] = {}
    for name in honest:
        who, _, liar = name.partition(" against ")
        against.setdefault(who, {})[liar] = scores[name].asdict()
    worst = {}
    for who, played in against.items():
        if STRONG in played and "greedy" in played:
            worst[who] = min(played.values(), key=lambda score: float(score["mean"]))
    gain = difference(_outcomes(parts, f"{STRONG} against {STRONG}"), _outcomes(parts, "floor"))
    label_free, pooled = _outcomes(parts, "label_free"), _outcomes(parts, "label_free control")
    beats = difference(label_free, pooled)
    k = problem.testbed.k
    return {
        "testbed": problem.name, "k": k, "instances": len(parts), "n": len(parts[0]["unit"]),
        "one_view": scores["one_view"].asdict(), "two_answer_floor": scores["floor"].asdict(),
        "ceiling": scores["ceiling"].asdict(), "honest": against, "honest_against_its_worst": worst,
        "honest_above_floor": gain.asdict(), "published_unmatched": PUBLISHED.get(k),
        "consultancy": {w: scores[n].asdict() for w, n in (
            ("mean", "consultancy"), ("for truth", "consultancy for truth"), ("for a lie", "consultancy for a lie"))},
        "label_free": {
            "debate": scores["label_free"].asdict(), "matched_control": scores["label_free control"].asdict(),
            "matched_control_by_pairs": scores["label_free control by pairs"].asdict(),
            "difference": beats.asdict(), "views": problem.testbed.answers * (problem.testbed.answers - 1) // 2,
            "distinct_items": {w: round(float(np.mean([p["rows"][n].mean() for p in parts])), 2) for w, n in (
                ("debate", "distinct"), ("matched_control", "distinct control"))},
        },
        "calibration": {w: _calibration(parts, w) for w in parts[0]["calibration"]},
        "ratings": ratings(parts), "forfeits": next(p["forfeits"] for p in parts if p["forfeits"] is not None),
        "says": _says(k, scores, gain, beats),
    }  # fmt: skip


def vault(problem: "Debate") -> "Debate":
    """The testbed with the sealed sets of the fixed, public secret."""
    return replace(problem, store=cache_dir() / "check" / problem.fingerprint)


def _outcomes(parts: Sequence[Part], name: str) -> Outcomes:
    return join([
        Outcomes(p["rows"][name].astype(np.float64), np.zeros(len(p["unit"]), np.int64), p["unit"], p["ood"])
        for p in parts
    ])  # fmt: skip


def _score(parts: Sequence[Part], name: str) -> Score:
    return accuracy(_outcomes(parts, name))


def _label_free(s: Setting) -> dict[str, Array]:
    """Nobody is told the truth: all pairs of answers are debated, and the answer that wins most pairs is given. The
    control has as many views of as many items, drawn at random, and says what they say together; or, pair by pair,
    what the judge makes of the pair on one of the views."""
    games = matches.round_robin(s)
    said = matches.answers(s, games.case, games.a, games.b, games.margin)
    pairs = s.answers * (s.answers - 1) // 2
    shown = matches.views(s, pairs, 1)
    looks = matches.seen(s, shown)
    pooled = looks.sum(0).argmax(1)
    one = np.tile(np.arange(pairs), len(s.y))
    margin: Floats = looks[one, games.case, games.a] - looks[one, games.case, games.b]
    by_pairs = matches.answers(s, games.case, games.a, games.b, margin)

    def distinct(case: Any, items: Any) -> Array:
        marked = np.zeros(s.legal.shape, bool)
        marked[case[:, None], items] = True
        return np.asarray(marked.sum(1), np.float64)

    return {
        "label_free": (said == s.y).astype(np.float64), "label_free control": (pooled == s.y).astype(np.float64),
        "label_free control by pairs": (by_pairs == s.y).astype(np.float64),
        "distinct": distinct(games.case, games.shown),
        "distinct control": distinct(np.tile(np.arange(len(s.y)), pairs), shown.reshape(-1, s.k)),
    }  # fmt: skip


def _illegal(s: Setting, games: matches.Match) -> float:
    """Share of games in which one of the kit's debaters broke a rule."""
    legal = s.legal[games.case[:, None], games.shown].all(1)
    twice = (np.diff(np.sort(games.shown, 1)) == 0).any(1)
    return float(np.mean(~legal | twice))


def _dealt(margin: Any, seed: int) -> tuple[Array, Array]:
    """P(a) and whether a is right, with truth dealt to a or b by chance."""
    turned = np.random.default_rng([seed, 7]).random(len(margin)) < 0.5
    p = 1 / (1 + np.exp(-np.clip(np.where(turned, -margin, margin).astype(np.float64), -30, 30)))
    return p, (~turned).astype(np.float64)


def _calibration(parts: Sequence[Part], where: str) -> dict[str, Any]:
    """Brier score and reliability: how often answers that were given a probability were right."""
    p = np.concatenate([part["calibration"][where][0] for part in parts])
    y = np.concatenate([part["calibration"][where][1] for part in parts])
    brier = join([
        Outcomes((p_ - y_) ** 2, np.zeros(len(p_), np.int64), part["unit"], part["ood"])
        for part in parts for p_, y_ in [part["calibration"][where]]
    ])  # fmt: skip
    return {"brier": accuracy(brier).asdict(), "reliability": reliability(p, y)}


def _counts(games: matches.Match) -> Array:
    """(r, 5) honest player, liar, whether honesty began, wins (a draw is half of one), games."""
    keys = np.column_stack([games.one, games.two, games.first])
    kinds, back = np.unique(keys, axis=0, return_inverse=True)
    won = np.bincount(back.ravel(), weights=games.won, minlength=len(kinds))
    return np.column_stack([kinds, won, np.bincount(back.ravel(), minlength=len(kinds))]).astype(np.float64)


def ratings(parts: Sequence[Part]) -> dict[str, Any]:
    """Elo ratings of the debaters, whichever side they hold, with what holding the truth and beginning are worth: a
    Bradley-Terry model (1952) by scikit-learn's logistic regression, a little ridge, mean rating 0. Intervals by
    bootstrap over instances."""
    players = parts[0]["players"]
    tables = [p["ratings"] for p in parts]

    def fit(chosen: Sequence[int]) -> Array:
        rows = np.concatenate([tables[i] for i in chosen])
        x = np.zeros((len(rows), len(players) + 2))
        x[np.arange(len(rows)), rows[:, 0].astype(int)] += 1
        x[np.arange(len(rows)), rows[:, 1].astype(int)] -= 1
        x[:, -2], x[:, -1] = 1, 2 * rows[:, 2] - 1
        twice, y = np.concatenate([x, x]), np.repeat([1, 0], len(rows))
        weight = np.concatenate([rows[:, 3], rows[:, 4] - rows[:, 3]])
        keep = weight > 0
        model = LogisticRegression(C=10.0, fit_intercept=False, max_iter=500).fit(twice[keep], y[keep], weight[keep])
        elo = model.coef_[0] * 400 / np.log(10)
        elo[:-2] -= elo[:-2].mean()
        return np.asarray(elo)

    rng = np.random.default_rng(0)
    whole = fit(range(len(tables)))
    again = np.stack([fit(rng.integers(len(tables), size=len(tables)).tolist()) for _ in range(RESAMPLES)])
    low, high = np.quantile(again, [0.025, 0.975], axis=0)
    names = [*players, "holding the truth", "revealing first"]
    order = [*np.argsort(-whole[:-2]).tolist(), len(players), len(players) + 1]
    return {
        "model": "Bradley-Terry by sklearn.linear_model.LogisticRegression(C=10), in Elo points, mean 0",
        "elo": {names[i]: {"mean": round(float(whole[i]), 1), "low": round(float(low[i]), 1),
                           "high": round(float(high[i]), 1)} for i in order},
    }  # fmt: skip


def _says(k: int, scores: Mapping[str, Score], gain: Score, beats: Score) -> str:
    debate, control = scores["label_free"], scores["label_free control"]
    verdict = "does not differ from"
    if beats.low is not None and beats.high is not None:
        verdict = "beats" if beats.low > 0 else "is beaten by" if beats.high < 0 else verdict
    above = "more than" if gain.low is not None and gain.low > 0 else "not more than"
    return (
        f"k = {k}: an honest debater wins {scores[f'{STRONG} against {STRONG}']} against the best lie, {above} the "
        f"judge on random evidence between the same answers, {scores['floor']} (difference {gain}). Label-free debate "
        f"{debate} {verdict} its matched control {control}: as many views of as many items, at random "
        f"(difference {beats})."
    )

