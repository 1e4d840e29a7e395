"""What is said of a data set before anything is trained: each check is shown finding a planted fault, and no other."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from folders import load, paired, save, single, write

from aarlab.problems.base import NotReady
from aarlab.problems.w2s.field import sets
from aarlab.problems.w2s.field.rows import Rows, read
from aarlab.problems.w2s.field.splits import examine
from aarlab.problems.w2s.testbed import SETS

SIZES = (160, 640, 640)


def report(rows: Rows) -> dict[str, Any]:
    return examine(rows, sets.units(rows, "question")[0])


def change(folder: Path, how: Any) -> Path:
    """Each row of the three files through `how(row, number, rng)`."""
    rng = np.random.default_rng(3)
    for path in sorted(folder.glob("*.jsonl")):
        save(path, [how(r, i, rng) for i, r in enumerate(load(path))])
    return folder


@pytest.mark.parametrize("kind", [single, paired])
def test_clean_data_bring_no_warning(tmp_path: Path, kind: Any) -> None:
    found = report(read(write(tmp_path, kind, SIZES)))
    assert found["warnings"] == [] and set(found["leaks"]) == {"length", "position"}
    for leak in found["leaks"].values():
        assert leak["low"] <= 0 <= leak["high"] and leak["n"] == sum(SIZES)


def longer(row: dict[str, Any], i: int, rng: np.random.Generator) -> dict[str, Any]:
    if "first" in row:
        better = "first" if row["label"] == "A" else "second"
        return {**row, better: row[better] + " and on" * 3} if rng.random() < 0.4 else row
    return {**row, "choice": row["choice"] + " and on" * 3} if row["label"] and rng.random() < 0.4 else row


def placed(row: dict[str, Any], i: int, rng: np.random.Generator) -> dict[str, Any]:
    label = i % 2 == 0 if rng.random() < 0.6 else rng.random() < 0.5
    return {**row, "label": bool(label) if "choice" in row else "AB"[int(not label)]}


def sourced(row: dict[str, Any], i: int, rng: np.random.Generator) -> dict[str, Any]:
    right = rng.random() < 0.7
    return {**row, "source": "strong" if (row["label"] in (True, "A")) == right else "weak"}


@pytest.mark.parametrize("kind", [single, paired])
@pytest.mark.parametrize(("fault", "name"), [(longer, "length"), (placed, "position"), (sourced, "source")])
def test_a_planted_leak_is_found_and_no_other(tmp_path: Path, kind: Any, fault: Any, name: str) -> None:
    found = report(read(change(write(tmp_path, kind, SIZES), fault)))
    assert found["leaks"][name]["low"] > 0.02
    assert [w for w in found["warnings"] if "leaks" in w] == [w for w in found["warnings"] if f"leaks through {name}" in w] != []


def test_a_source_that_says_nothing_is_no_leak(tmp_path: Path) -> None:
    found = report(read(change(write(tmp_path, sizes=SIZES), lambda r, i, rng: {**r, "source": str(rng.integers(4))})))
    assert found["leaks"]["source"]["low"] <= 0 and not found["warnings"]


def test_the_interval_knows_that_answers_to_a_question_are_not_independent(tmp_path: Path) -> None:
    """Four copies of every row add no information: clustered by question the interval stays as wide."""
    folder = change(write(tmp_path, paired, SIZES), longer)
    rows = read(folder)
    four = Rows(tuple(r for r in rows.rows for _ in range(4)), rows.paired, "")
    unit = sets.units(rows, "question")[0]
    wide, wide_four = (examine(r, u)["leaks"]["length"]["se"] for r, u in ((rows, unit), (four, np.repeat(unit, 4))))
    naive = examine(four, np.arange(len(four.rows)))["leaks"]["length"]["se"]
    assert wide_four == pytest.approx(wide, rel=0.3) and naive < 0.6 * wide_four


def test_one_class_and_the_same_row_twice_are_refused(tmp_path: Path) -> None:
    folder = change(write(tmp_path / "a"), lambda r, i, rng: {**r, "label": True})
    with pytest.raises(NotReady, match=r"train_label\.jsonl:1: the 160 rows of train_label have one label; give both"):
        report(read(folder))
    folder = change(write(tmp_path / "b"), lambda r, i, rng: {**r, "label": i % 20 == 0})
    with pytest.raises(NotReady, match=r"have one label in 95\.0%"):
        report(read(folder))
    folder = write(tmp_path / "c")
    save(folder / "test.jsonl", [*load(folder / "test.jsonl"), load(folder / "train_unlabel.jsonl")[4]])
    with pytest.raises(NotReady, match=r"test\.jsonl:321: the same row as .*train_unlabel\.jsonl:5; a row may be in one"):
        report(read(folder))


def test_what_is_nearly_the_same_is_told(tmp_path: Path) -> None:
    folder = write(tmp_path)
    pool, test = load(folder / "train_unlabel.jsonl"), load(folder / "test.jsonl")
    shouted = {**pool[4], "choice": pool[4]["choice"].upper() + " "}
    save(folder / "test.jsonl", [*test, test[0], shouted, {**pool[5], "question": "another"}])
    assert report(read(folder))["duplicates"] == {
        "the same row twice": "1 in test", "the same row but for case, space or order": "1 in train_unlabel and test",
        "answers of the test that are in training too, under other prompts": "2",
    }  # fmt: skip


@pytest.mark.parametrize("kind", [single, paired])
def test_no_unit_is_in_two_sets_or_two_parts(tmp_path: Path, kind: Any) -> None:
    rows = read(write(tmp_path, kind, SIZES))
    found = sets.assign(rows, "question", shared=False)
    owner: dict[str, int] = {}
    role: dict[str, str] = {}
    for row, home in zip(rows.rows, found.home, strict=True):
        assert owner.setdefault(row.prompt, int(home)) == home and role.setdefault(row.prompt, row.part) == row.part
    for part in ("teacher", "pool", "test"):
        sizes = [sum(r.part == part and h == s for r, h in zip(rows.rows, found.home, strict=True)) for s in range(len(SETS))]
        assert max(sizes) - min(sizes) <= 4 and not found.aside
    shuffled = Rows(rows.rows[::-1], rows.paired, rows.digest)
    assert np.array_equal(sets.assign(shuffled, "question", shared=False).home[::-1], found.home)


def test_rows_of_one_consistency_group_stay_together(tmp_path: Path) -> None:
    folder = change(write(tmp_path, paired, (160, 320, 320)), lambda r, i, rng: {**r, "consistency_id": f"{r['prompt'].split()[-1][:-1]}x"})
    rows = read(folder)
    found = sets.assign(rows, "question", shared=False)
    assert len(np.unique(found.unit)) == 80
    for group in {r.group for r in rows.rows}:
        assert len({int(h) for r, h in zip(rows.rows, found.home, strict=True) if r.group == group}) == 1


def test_training_rows_whose_conversation_is_in_the_test_are_set_aside_and_told(tmp_path: Path) -> None:
    folder = write(tmp_path, paired)
    test = load(folder / "test.jsonl")
    pool = load(folder / "train_unlabel.jsonl")
    pool[6] = {**pool[6], "prompt": test[9]["prompt"] + "\n\nand then?"}
    save(folder / "train_unlabel.jsonl", pool)
    found = sets.assign(read(folder), "conversation", shared=False)
    assert [Path(w).name for w in found.aside] == ["train_unlabel.jsonl:7"]
    assert sets.assign(read(folder), "question", shared=False).aside == ()


def test_topics_in_training_and_test_must_be_declared(tmp_path: Path) -> None:
    folder = change(write(tmp_path, sizes=SIZES), lambda r, i, rng: {**r, "question": f"topic {i % 16}"})
    rows = read(folder)
    with pytest.raises(NotReady, match="if that is meant, say --shared-units"):
        sets.assign(rows, "question", shared=False)
    found = sets.assign(rows, "question", shared=True)
    homes = [{r.prompt for r, h in zip(rows.rows, found.home, strict=True) if h == s} for s in range(4)]
    assert [len(h) for h in homes] == [4, 4, 4, 4] and len(set.union(*homes)) == 16


def test_too_few_units_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match=r"train_label: \d+ rows of \d labels would be left for practice .* a set needs 20"):
        sets.assign(read(write(tmp_path, sizes=(40, 320, 320))), "question", shared=False)
    with pytest.raises(NotReady, match="no `source`, which is declared to be the unit"):
        sets.assign(read(write(tmp_path / "b")), "source", shared=False)
