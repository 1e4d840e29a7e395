"""Games of evidence that can be watched, reveal by reveal: a section for a report, or a page of its own.

What is drawn is data (a list of replays, each as the problem describes it); the one script is ours, and is admitted by
its hash alone.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aarlab.kit.cache import write_whole
from aarlab.report.markup import Html, csp_hash, el, embed_json, join
from aarlab.report.text import clean

SCRIPT = (Path(__file__).parent / "replay.js").read_text()
STYLE = (
    ".replay .bar{display:flex;flex-wrap:wrap;gap:.6em;align-items:center}.replay .stage{display:flex;flex-wrap:wrap;"
    "gap:1.5em;align-items:flex-start}.replay select{max-width:100%}"
)


def section(games: Sequence[Mapping[str, Any]]) -> Html:
    """The games as an element; the page must hold SCRIPT after it, and STYLE. What steers a terminal or hides in a
    text is shown by name."""
    data = [_cleaned(g) for g in games]
    return el("div", el("script", embed_json(data), type="application/json"), class_="replay")


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {name: _cleaned(v) for name, v in value.items()}
    return [_cleaned(v) for v in value] if isinstance(value, list | tuple) else value


def page(title: str, games: Sequence[Mapping[str, Any]]) -> str:
    """A whole page, which loads nothing from any network."""
    policy = (
        f"default-src 'none'; script-src {csp_hash(SCRIPT)}; style-src 'unsafe-inline'; base-uri 'none'; "
        "form-action 'none'"
    )
    head = el(
        "head", el("meta", charset="utf-8"), el("meta", http_equiv="Content-Security-Policy", content=policy),
        el("title", title), el("style", Html(STYLE + "body{font:16px/1.5 sans-serif;max-width:46em;margin:2em auto}")),
    )  # fmt: skip
    body = el("body", el("h1", title), section(games), el("script", Html(SCRIPT)))
    return "<!doctype html>\n" + str(el("html", join(head, body), lang="en")) + "\n"


def write(path: Path, title: str, games: Sequence[Mapping[str, Any]]) -> None:
    """Write the page whole or not at all."""
    write_whole(path, page(title, games))
