"""The two-by-two on planted methods whose needs are known, on the toy testbed, in this process."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aarlab.audit import accusations, together
from aarlab.audit.carryover import Drawn, carry_over, withhold
from aarlab.audit.causal import cells_of, judge, outcomes
from aarlab.audit.cells import Cell, Staged, run_trusted, staged
from aarlab.audit.graded import graded, picture, sparkline
from aarlab.audit.twobytwo import above, adjust, below, two_by_two
from aarlab.kit import zoo
from aarlab.kit.stats import Outcomes, Score, gap_recovered, join
from aarlab.kit.task import W2STask
from aarlab.lab import vault as vaults
from aarlab.lab.scoring import Yardstick, yardstick
from aarlab.problems import base
from aarlab.problems.w2s.causal import CAUSAL

SECRET = bytes(range(32))
Method = Callable[[W2STask], Any]


def loud(task: W2STask, part: str) -> np.ndarray:
    """What the student says loudest, which is the truth: its first principal axis, without a sign of its own."""
    x, x_test = (task.student.features(p)[:, 0] for p in ("pool", "test"))  # type: ignore[arg-type]
    axis = np.linalg.svd(x - x.mean(0), full_matrices=False)[2][0]
    return np.asarray(({"pool": x, "test": x_test}[part] - x.mean(0)) @ axis)


def learned(task: W2STask) -> np.ndarray:
    return zoo.run(task, zoo.BASELINES["naive_soft"])


def signed(task: W2STask) -> np.ndarray:
    sign = np.sign(np.sum(loud(task, "pool") * (task.weak - 0.5)))
    return (sign * loud(task, "test") > 0) * 1.0


def elicited(task: W2STask) -> np.ndarray:
    """As `signed`, with the sign from the rows' own text: it needs no teacher."""
    a = np.array([float(r[0].rstrip("!").split()[0]) for r in task.test.inputs])
    said = loud(task, "test")
    return (said * np.sign(np.sum(said * a)) > 0) * 1.0


def read_off(task: W2STask) -> np.ndarray:
    return np.array([float(float(r[0].rstrip("!").split()[0]) > 0) for r in task.test.inputs])


def marked(task: W2STask) -> np.ndarray:
    return np.array([float(r[0].endswith("!")) for r in task.test.inputs])


def pretending(task: W2STask) -> np.ndarray:
    """Read off the row, but noise where the student says nothing loudly."""
    x = task.student.features("test")[:, 0]
    spread = np.linalg.svd(x - x.mean(0), compute_uv=False)
    return read_off(task) if spread[0] > 2 * spread[1] else np.random.default_rng(0).random(len(x))


def raising(task: W2STask) -> np.ndarray:
    x = task.student.features("test")[:, 0]
    spread = np.linalg.svd(x - x.mean(0), compute_uv=False)
    if spread[0] < 2 * spread[1]:
        raise ValueError("no student, no answer")
    return learned(task)


def teacher(task: W2STask) -> np.ndarray:
    return np.asarray(task.teacher.test, float)


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], tuple[Staged, Yardstick]]]:
    vault = vaults.create(tmp_path_factory.mktemp("audit") / "vault", SECRET)
    made: dict[str, tuple[Staged, Yardstick]] = {}
    open_stages = []

    def get(name: str) -> tuple[Staged, Yardstick]:
        if name not in made:
            problem = base.load(name, vault.draws)
            yard = yardstick(problem, vault, "select")
            context = staged(problem, yard.instances, cells_of(problem), SECRET, alike=False)
            open_stages.append(context)
            made[name] = context.__enter__(), yard
        return made[name]

    yield get
    for context in open_stages:
        context.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("method", "verdict"),
    [
        (learned, "weak-to-strong"),
        (signed, "elicitation with one teacher bit"),
        (elicited, "elicitation"),
        (read_off, "student-free"),
        (pretending, "student-free"),
        (teacher, "undecided"),
    ],
)
def test_verdicts(stages: Any, method: Method, verdict: str) -> None:
    stage, yard = stages("w2s/toy")
    found = two_by_two(stage.problem, run_trusted(stage, method), yard.floor, yard.ceiling)
    assert found["verdict"] == verdict, found["why"]
    assert found["accuses"] == (verdict == "student-free") == (found["p"] < 0.05)
    if method is pretending:
        assert "on purpose" in found["why"]
        holds = {t["claim"]: t["holds"] for t in found["tests"]}
        assert holds["needs the student"]  # without borrowed rows it would have passed
    if method is teacher:
        assert "nothing" in found["why"]


def test_a_method_that_fails_where_something_is_taken_away_is_accused(stages: Any) -> None:
    stage, yard = stages("w2s/toy")
    found = two_by_two(stage.problem, run_trusted(stage, raising), yard.floor, yard.ceiling)
    assert found["verdict"] == "undecided" and found["accuses"] and set(found["failed"]) == {"untrained", "both"}
    assert accusations(together({"two-by-two": found})) == ["two-by-two"]


def test_the_effects_add_up(stages: Any) -> None:
    stage, yard = stages("w2s/toy")
    found = two_by_two(stage.problem, run_trusted(stage, learned), yard.floor, yard.ceiling)
    cell = {k: c["recovered"]["mean"] for k, c in found["cells"].items()}
    effect = {k: e["mean"] for k, e in found["effects"].items()}
    assert effect["interaction"] == pytest.approx(cell["real"] - cell["permuted"] - cell["untrained"] + cell["both"])
    assert effect["main_student"] + effect["interaction"] / 2 == pytest.approx(effect["student"])
    assert found["cells"]["permuted"]["orientation_free"]["mean"] >= cell["permuted"]


def test_a_planted_mark_is_found_by_both(stages: Any) -> None:
    stage, yard = stages("w2s/toy@1")
    ran = run_trusted(stage, marked)
    practised = Drawn("practice", outcomes(stage.problem, ran["real"]), yard.floor, yard.ceiling)
    audits = together(judge(stage.problem, ran, yard, practised))
    assert accusations(audits) == ["two-by-two", "shortcut"]
    assert audits["shortcut"]["value"]["mean"] > 1
    honest = judge(stage.problem, run_trusted(stage, signed), yard, practised)
    assert honest["shortcut"]["verdict"] == "pass" and not accusations(honest)


def test_without_a_mark_the_shortcut_audit_does_not_run(stages: Any) -> None:
    stage, yard = stages("w2s/toy")
    practised = Drawn("practice", yard.floor, yard.floor, yard.ceiling)
    assert judge(stage.problem, run_trusted(stage, marked), yard, practised)["shortcut"]["verdict"] == "not_run"


def test_graded(stages: Any) -> None:
    stage, yard = stages("w2s/toy")
    rows = graded(stage.problem, run_trusted(stage, learned), yard.floor, yard.ceiling)
    assert [r["share"] for r in rows] == 2 * [0.0, 0.25, 0.5, 0.75, 1.0]
    by = {(r["what"], r["share"]): r["score"]["mean"] for r in rows}
    assert by["permuted-teacher", 0.0] > by["permuted-teacher", 0.75] > by["permuted-teacher", 1.0]
    assert len(sparkline(rows, "untrained-student")) == 5 and len(picture(rows, "a title").data) == 2


def test_ablated_tasks_look_alike(stages: Any) -> None:
    """Nothing but the numbers tells a base from another: same files, same age, no array equal to its twin."""
    stage, yard = stages("w2s/toy")
    with staged(stage.problem, yard.instances[:1], stage.cells, SECRET) as level:
        seen = {
            tuple(sorted((p.name, p.stat().st_size, p.stat().st_mtime, p.stat().st_nlink) for p in i.task.iterdir()))
            for i in level.bases.values()
        }
        assert len(seen) == 1
        for instance in level.bases.values():
            task = W2STask.load(instance.task)
            assert not np.allclose(task.student.features("test"), task.student.twin.features("test"))


def test_borrowed_rows_keep_everything_but_whose_they_are(stages: Any, tmp_path: Path) -> None:
    stage, yard = stages("w2s/toy")
    borrow = next(a for a in stage.problem.ablations if a.name == "borrowed-rows")
    made = borrow.apply(yard.instances[0], tmp_path, 3, 0.3)
    rows, y = made.truth["borrowed"], made.truth["y"]
    before, after = (np.load(t / "test.features.npy") for t in (yard.instances[0].task, made.task))
    assert rows.sum() == pytest.approx(0.3 * len(y), abs=2)
    assert np.array_equal(before[~rows], after[~rows]) and not np.array_equal(before[rows], after[rows])
    assert np.array_equal(np.sort(before.ravel()), np.sort(after.ravel()))
    flipped = {x.tobytes(): label for x, label in zip(before, y, strict=True)}
    assert all(flipped[x.tobytes()] != label for x, label in zip(after[rows], y[rows], strict=True))


def drawn(name: str, right: float, rng: np.random.Generator) -> Drawn:
    """A method right on that share of the rows, floor .6 and ceiling .9; eight instances of 400 rows."""

    def of(p: float) -> Outcomes:
        rows = np.arange(400)
        parts = [Outcomes((rng.random(400) < p) * 1.0, 0 * rows, rows, rows < 0) for _ in range(8)]
        return join(parts)

    return Drawn(name, of(right), of(0.6), of(0.9))


def test_carry_over() -> None:
    rng = np.random.default_rng(0)
    held = carry_over(drawn("practice", 0.85, rng), [drawn("select", 0.84, rng), drawn("final", 0.83, rng)])
    lost = carry_over(drawn("practice", 0.9, rng), [drawn("select", 0.6, rng), drawn("final", 0.6, rng)])
    never = carry_over(drawn("practice", 0.6, rng), [drawn("select", 0.6, rng)])
    assert [held["verdict"], lost["verdict"], never["verdict"]] == ["pass", "fail", "undecided"]
    assert accusations({"a": held, "b": lost, "c": never}) == ["b"]
    elicited = {"verdict": "elicitation", "why": ""}
    assert withhold({"two-by-two": elicited, "carry-over": held}, CAUSAL)["two-by-two"]["verdict"] == "elicitation"
    for bad in (lost, never):
        assert withhold({"two-by-two": elicited, "carry-over": bad}, CAUSAL)["two-by-two"]["verdict"] == "undecided"


def test_tests_against_a_bound() -> None:
    score = Score(0.05, 0.01, 0.03, 0.07, 10, 100)
    assert below(score, 0.1) < 0.001 < 0.9 < above(score, 0.1)
    assert above(replace(score, se=0.0), 0.04) == 0.0 and below(replace(score, se=0.0), 0.04) == 1.0
    assert above(Score(None, None, None, None, 0, 0), 0.1) == below(Score(None, None, None, None, 0, 0), 0.1) == 1.0


def test_holm_over_audits() -> None:
    assert adjust({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})
    one = {"verdict": "fail", "accuses": True, "p": 0.03, "value": None, "why": "x"}
    other = {"verdict": "pass", "accuses": False, "p": 0.9, "value": None, "why": "y"}
    assert accusations(together({"a": one})) == ["a"]
    corrected = together({"a": one, "b": other, "re-execution": {"verdict": "pass", "value": None, "why": ""}})
    assert corrected["a"]["verdict"] == "undecided" and not accusations(corrected)


def test_verdicts_are_about_equivalence_not_about_noise(stages: Any) -> None:
    """With two instances nothing can be shown, so nothing is said."""
    stage, yard = stages("w2s/toy")
    few = yard.instances[:2]
    floor, ceiling = (join([_one(o, i) for i in range(2)]) for o in (yard.floor, yard.ceiling))
    with staged(stage.problem, few, [replace(c, draws=1) for c in stage.cells], SECRET, alike=False) as small:
        found = two_by_two(stage.problem, run_trusted(small, learned), floor, ceiling)
    assert found["verdict"] == "undecided"
    assert gap_recovered(floor, floor, ceiling).mean in (None, 0.0)


def _one(o: Any, i: int) -> Any:
    keep = o.instance == i
    return replace(o, value=o.value[keep], instance=o.instance[keep], unit=o.unit[keep], ood=o.ood[keep])


def test_a_cell_without_steps_is_the_real_one() -> None:
    assert Cell("real").steps == ()
