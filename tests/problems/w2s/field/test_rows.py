"""The reader: every bad row is one line that names file and line, nothing is dropped, other layouts need a mapping."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from folders import load, paired, save, single, write
from hypothesis import given
from hypothesis import strategies as st

from aarlab.problems.base import NotReady
from aarlab.problems.w2s.field import Field, FieldProblem, spec
from aarlab.problems.w2s.field.rows import ANSWER, Mapped, read, text, untext


def spoil(folder: Path, line: int, change: Callable[[dict[str, Any]], Any], file: str = "train_unlabel") -> Path:
    rows = load(folder / f"{file}.jsonl")
    rows[line - 1] = change(rows[line - 1])
    save(folder / f"{file}.jsonl", rows)
    return folder


@pytest.mark.parametrize("kind", [single, paired])
def test_every_row_is_read_in_order(tmp_path: Path, kind: Any) -> None:
    folder = write(tmp_path, kind, (30, 40, 50))
    found = read(folder)
    assert [len(found.of(p)) for p in ("teacher", "pool", "test")] == [30, 40, 50]  # type: ignore[arg-type]
    assert found.paired == (kind is paired) and sum(r.ood for r in found.rows) == 13
    last, raw = found.rows[-1], load(folder / "test.jsonl")[-1]
    assert last.where == f"{folder}/test.jsonl:50"
    assert last.y == int(raw["label"] in (True, "A")) and last.prompt == raw.get("question", raw.get("prompt"))


def test_optional_fields_are_read_and_strange_ones_are_told(tmp_path: Path) -> None:
    folder = spoil(write(tmp_path), 2, lambda r: {**r, "source": "m", "consistency_id": 7, "difficulty": 0.5, "mood": "x"})
    found = read(folder)
    assert found.of("pool")[1].source == "m" and found.of("pool")[1].group == "7"
    assert found.ignored == {"train_unlabel.jsonl": ("mood",)}


BAD: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda r: {k: v for k, v in r.items() if k != "label"}, "no `label`"),
    (lambda r: {**r, "label": None}, "no `label`"),
    (lambda r: {**r, "label": 1}, "`label` is 1, not true or false"),
    (lambda r: {**r, "label": "true"}, "not true or false"),
    (lambda r: {**r, "choice": "  "}, "`choice` is empty"),
    (lambda r: {**r, "choice": 3}, "`choice` is int, not text"),
    (lambda r: {**r, "choice": "a\0b"}, "no text"),
    (lambda r: {**r, "choice": "a\ud800"}, "no text"),
    (lambda r: {**r, "choice": f"a{ANSWER}b"}, "reserved"),
    (lambda r: {**r, "first": "a"}, "has both `choice` and `first`"),
    (lambda r: {"prompt": "p", "first": "a", "second": "a", "label": "A"}, "are the same"),
    (lambda r: {"prompt": "p", "first": "a", "second": "b", "label": "C"}, "not \"A\""),
    (lambda r: {"prompt": "p", "first": "a", "second": "b", "label": "A"}, "a pair of answers among single answers"),
    (lambda r: {**r, "split": "train"}, "not id or ood"),
    (lambda r: {**r, "split": "ood"}, "is in distribution"),
    (lambda r: {**r, "source": ["m"]}, "`source` is list"),
    (lambda r: [r], "not a JSON object but list"),
]


@pytest.mark.parametrize(("change", "said"), BAD)
def test_a_bad_row_is_one_line_with_its_place(tmp_path: Path, change: Callable[[dict[str, Any]], Any], said: str) -> None:
    folder = spoil(write(tmp_path), 17, change)
    with pytest.raises(NotReady) as error:
        read(folder)
    assert said in str(error.value) and "train_unlabel.jsonl:17: " in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"question": "q", "choice": "c", "label": true, "label": false}', "there twice"),
        (b'{"question": "q", "choice": NaN, "label": true}', "NaN is no JSON"),
        (b'{"question": "\xff"}', "not UTF-8"),
        (b'{"question": "q"', "not one JSON object a line"),
        (b"[" * 100_000, "not one JSON object a line"),
    ],
)
def test_a_line_that_is_no_json_is_named(tmp_path: Path, line: bytes, said: str) -> None:
    folder = write(tmp_path)
    path = folder / "test.jsonl"
    path.write_bytes(path.read_bytes() + b"\n" + line + b"\n")
    with pytest.raises(NotReady, match=rf"test\.jsonl:322: .*{said}"):
        read(folder)


def test_files_that_are_absent_empty_or_there_twice(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="no such folder of data"):
        read(tmp_path / "nowhere")
    folder = write(tmp_path)
    (folder / "test.parquet").write_bytes(b"")
    with pytest.raises(NotReady, match="both there; keep one"):
        read(folder)
    (folder / "test.parquet").unlink()
    (folder / "test.jsonl").write_text("\n\n")
    with pytest.raises(NotReady, match="holds no row; it is what is scored"):
        read(folder)
    (folder / "test.jsonl").unlink()
    with pytest.raises(NotReady, match=r"test\.jsonl and test\.parquet are not there"):
        read(folder)


def test_another_layout_needs_a_mapping_of_two_lines(tmp_path: Path) -> None:
    """Sentences with a sentiment in words: the answer is the row, and "pos" means right."""
    for name in ("train_label", "train_unlabel", "test"):
        save(tmp_path / f"{name}.jsonl", [{"sentence": f"{name} {i}", "mood": "pos" if i % 2 else "neg"} for i in range(4)])
    found = read(tmp_path, Mapped({"choice": "sentence", "label": "mood"}, "pos"))
    assert [r.y for r in found.of("test")] == [0, 1, 0, 1] and found.rows[0].answers == ("train_label 0",)
    with pytest.raises(NotReady, match=r"train_label.jsonl:1: no `question`"):
        read(tmp_path)
    with pytest.raises(NotReady, match="'chioce' is no field of a row"):
        Mapped({"chioce": "sentence"})
    with pytest.raises(NotReady, match="another type than the positive label 1"):
        read(tmp_path, Mapped({"choice": "sentence", "label": "mood"}, 1))


def test_parquet_is_read_as_json_lines_are(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="the extra hf is not installed")
    from pyarrow import parquet  # noqa: PLC0415

    folder = write(tmp_path)
    expected = read(folder)
    parquet.write_table(arrow.Table.from_pylist(load(folder / "test.jsonl")), folder / "test.parquet")
    (folder / "test.jsonl").unlink()
    found = read(folder)
    assert [(r.prompt, r.answers, r.y, r.ood) for r in found.rows] == [(r.prompt, r.answers, r.y, r.ood) for r in expected.rows]
    assert found.rows[-1].where.endswith("test.parquet:320") and found.digest != expected.digest
    (folder / "test.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(NotReady, match="not a Parquet file"):
        read(folder)


words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30).filter(
    lambda t: ANSWER not in t and not t.startswith(("[source] ", ANSWER[1:]))
)


@given(words, words, st.none() | words.filter(lambda t: "\n" not in t))
def test_what_is_shown_is_read_back(prompt: str, answer: str, source: str | None) -> None:
    assert untext(text(prompt, answer, source)) == (prompt, answer, source)


def test_the_digest_follows_the_bytes_and_the_mapping(tmp_path: Path) -> None:
    folder = write(tmp_path, rows := single, (24, 24, 24))
    first = read(folder).digest
    assert read(folder, Mapped({"answer": "gold"})).digest != first
    path = folder / "test.jsonl"
    path.write_text(path.read_text() + json.dumps(rows(1, 9999, np.random.default_rng(5))[0]) + "\n")
    assert read(folder).digest != first


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The base install reads and examines rows; a model needs transformers, and one line says so."""
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.delitem(sys.modules, "aarlab.problems.w2s.field.encoder", raising=False)
    declared = spec.Spec(question="right?", data=str(write(tmp_path)), student="somebody/something")
    problem = FieldProblem(Field("tests", declared))
    assert problem.field.folder.report["units"] == 200
    with pytest.raises(NotReady, match=r"^a pretrained model needs (transformers|huggingface_hub); pip install 'aarlab\[hf\]'$"):
        problem.ready()
