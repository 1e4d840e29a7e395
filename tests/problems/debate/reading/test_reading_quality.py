"""Passages of one's own: read if well formed, refused in one line that names file and line if not."""

import json
from pathlib import Path
from typing import Any

import pytest

from aarlab.problems.debate.reading.quality import BadPassage, load, sentences

GOOD = {
    "article_id": "1", "article": "One ship came. It carried salt!  Nobody\nbought it.",
    "questions": [{"question": "What did it carry?", "options": ["salt", "wool"], "gold_label": 1, "difficult": 0}],
}  # fmt: skip


def write(path: Path, *rows: Any) -> Path:
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows))
    return path


def but(**changes: Any) -> dict[str, Any]:
    return {**GOOD, "questions": [{**GOOD["questions"][0], **changes}]}  # type: ignore[index]


def test_it_is_read(tmp_path: Path) -> None:
    (c,) = load(write(tmp_path / "p.jsonl", GOOD, ""))
    assert c.sentences == ("One ship came.", "It carried salt!", "Nobody bought it.")
    assert (c.answers, c.truth, c.source) == (("salt", "wool"), 0, "p.jsonl:1:0")


@pytest.mark.parametrize(
    "row, said",
    [
        ("{", "EOF"),
        ("[]", "object"),
        ("null", "object"),
        ({"article": "A b. C d."}, "questions"),
        ({**GOOD, "article": "  "}, "article"),
        ({**GOOD, "article": "One sentence alone."}, "two sentences"),
        ({**GOOD, "article": 3}, "article"),
        ({**GOOD, "questions": []}, "questions"),
        (but(gold_label=0), "0 is none of 1 to 2"),
        (but(gold_label=3), "3 is none of 1 to 2"),
        (but(gold_label="1"), "questions.0.gold_label"),
        (but(gold_label=True), "questions.0.gold_label"),
        (but(gold_label=None), "questions.0.gold_label"),
        (but(options=["salt"]), "questions.0.options"),
        (but(options=["salt", "salt"]), "two are the same"),
        (but(options=["salt", ""]), "questions.0.options.1"),
        (but(question=" "), "questions.0.question"),
    ],
)
def test_what_is_malformed_is_refused_with_file_and_line(tmp_path: Path, row: Any, said: str) -> None:
    path = write(tmp_path / "p.jsonl", GOOD, row)
    with pytest.raises(BadPassage) as refused:
        load(path)
    message = str(refused.value)
    assert message.startswith(f"{path}:2: ") and said in message and "\n" not in message


def test_other_bad_files(tmp_path: Path) -> None:
    empty = write(tmp_path / "empty.jsonl")
    with pytest.raises(BadPassage, match="holds no passage"):
        load(empty)
    with pytest.raises(BadPassage, match=r"missing\.jsonl: No such file"):
        load(tmp_path / "missing.jsonl")
    binary = tmp_path / "binary.jsonl"
    binary.write_bytes(json.dumps(GOOD).encode() + b"\n\xff\xfe{}\n")
    with pytest.raises(BadPassage, match=r"binary\.jsonl:2: "):
        load(binary)


def test_sentences_hold_the_whole_article() -> None:
    text = 'He said "stop." Then\tleft.\n\nChapter two\n\nIt rained... a lot'
    assert " ".join(sentences(text)) == " ".join(text.split())
