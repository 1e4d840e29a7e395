"""Passages of one's own: data in the style of QuALITY (Pang et al. 2022), given by path.

One JSON object a line: `article`, and `questions`, each with `question`, `options` and `gold_label`, counted from 1;
other keys are passed over. The article is cut into sentences, which are the items that a debater may show.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from aarlab.problems.debate.reading.passages import Case
from aarlab.problems.debate.transcripts import first_error

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
_END = re.compile(r"(?<=[.!?])[\"'”’)]*\s+|\n\s*\n")


class BadPassage(ValueError):
    """A passage that cannot be debated; the message names file and line."""


class _Question(BaseModel):
    model_config = ConfigDict(strict=True)
    question: Text
    options: list[Text] = Field(min_length=2, max_length=10)
    gold_label: int


class _Article(BaseModel):
    model_config = ConfigDict(strict=True)
    article: Text
    questions: list[_Question] = Field(min_length=1)


def load(path: Path) -> list[Case]:
    """Every question of every passage of a file, in order. Raises BadPassage, in one line that names file and line, for
    the first passage that is malformed, and for a file that holds none."""
    found = list(_cases(path))
    if not found:
        raise BadPassage(f"{path}: holds no passage")
    return found


def _cases(path: Path) -> Iterator[Case]:
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise BadPassage(f"{path}: {error.strerror}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = _Article.model_validate_json(line)
        except ValidationError as error:
            raise BadPassage(f"{where}: {first_error(error)}") from None
        told = sentences(row.article)
        if len(told) < 2:
            raise BadPassage(f"{where}: article: a passage has two sentences or more, not {len(told)}")
        for i, q in enumerate(row.questions):
            if len(set(q.options)) < len(q.options):
                raise BadPassage(f"{where}: questions.{i}.options: two are the same")
            if not 1 <= q.gold_label <= len(q.options):
                raise BadPassage(
                    f"{where}: questions.{i}.gold_label: {q.gold_label} is none of 1 to {len(q.options)}"
                )
            yield Case(told, q.question, tuple(q.options), q.gold_label - 1, source=f"{path.name}:{number}:{i}")


def sentences(article: str) -> tuple[str, ...]:
    """An article's sentences, white space made single; together they are the whole of it."""
    cuts, start = [], 0
    for match in _END.finditer(article):
        cuts.append(article[start : match.end()])
        start = match.end()
    parts: list[Any] = [" ".join(part.split()) for part in (*cuts, article[start:])]
    return tuple(part for part in parts if part)
