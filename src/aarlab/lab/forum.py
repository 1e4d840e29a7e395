"""The forum: findings as files, mirrored read-only into every sandbox."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aarlab.lab.state import Finding, Submission

KINDS = ("result", "hypothesis", "insight", "error", "retraction")
MAX_TITLE, MAX_TEXT, MAX_FINDINGS = 200, 20_000, 500
MAX_TOTAL = 2_000_000  # characters of all that one researcher posts, programs and cards with it
FAMILY = re.compile(r"[A-Za-z0-9 ,._:-]{0,60}\Z")  # what families are counted by: one name must not look like another


class BadFinding(ValueError):
    """The post cannot be taken; the message says why."""


def check(kind: object, title: object, text: object, family: object) -> None:
    """Refuse what is no finding. Content stays hostile: it is escaped wherever it is shown."""
    if kind not in KINDS:
        raise BadFinding(f"kind {str(kind)[:40]!r}: one of {', '.join(KINDS)}")
    for name, value, most in (("title", title, MAX_TITLE), ("text", text, MAX_TEXT), ("family", family, 60)):
        if not isinstance(value, str) or len(value) > most:
            raise BadFinding(f"{name}: text of at most {most} characters")
        if any("\ud800" <= c <= "\udfff" for c in value):
            raise BadFinding(f"{name}: not text")
    if not FAMILY.match(str(family)):
        raise BadFinding("family: letters a to z, digits, spaces and , . _ : -")


def check_room(posts: Sequence[Mapping[str, Any]], sizes: Callable[[str], int], more: int) -> None:
    """Refuse what would flood the forum: `posts` are a researcher's findings so far, `sizes` says how many characters
    a snapshot holds, `more` is the length of the next post with its files."""
    if len(posts) >= MAX_FINDINGS:
        raise BadFinding(f"at most {MAX_FINDINGS} findings a researcher")
    held = sum(len(p["title"]) + len(p["text"]) for p in posts)
    held += sum(sizes(s) for s in {p["snapshot"] for p in posts if p["snapshot"]})
    if held + more > MAX_TOTAL:
        raise BadFinding(f"your findings would hold more than {MAX_TOTAL} characters; say less")


def public(finding: Finding, submission: Submission | None) -> dict[str, object]:
    """What researchers see of a finding: of its submission only what was released."""
    return {
        "id": finding.id, "researcher": finding.researcher, "kind": finding.kind, "title": finding.title,
        "text": finding.text, "family": finding.family, "snapshot": finding.snapshot,
        "released": submission.released if submission else None,
    }  # fmt: skip


def mirror(folder: Path, finding: Finding, submission: Submission | None, files: dict[str, str]) -> None:
    """Write one finding as a folder: finding.json, and the files of its snapshot. Made whole, then moved in; one that
    is there already only gets what was released since."""
    slug = re.sub(r"[^a-z0-9]+", "-", finding.title.lower())[:40].strip("-")
    target = folder / f"{finding.id:04d}-{finding.kind}-{slug}"
    told = json.dumps(public(finding, submission), indent=1)
    if target.exists():  # a judgement came after the post
        fresh = folder / f".{finding.id}.json"
        fresh.write_text(told)
        fresh.rename(target / "finding.json")
        return
    draft = folder / f".{finding.id}"
    draft.mkdir(parents=True, exist_ok=True)
    (draft / "finding.json").write_text(told)
    for name, text in files.items():
        (draft / name).write_bytes(text.encode())
    draft.rename(target)
