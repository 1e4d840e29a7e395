"""HTML that escapes by default: whatever is not `Html` is text, and is escaped on its way in.

Only `el` and `join` make `Html`, so a name, title, card or program that a researcher wrote cannot become
markup by being forgotten; a forgotten `el` shows as visible text instead.
"""

import base64
import hashlib
import html
import json
from typing import Any

from aarlab.report.text import clean


class Html(str):
    """A piece of finished markup. Build it with `el` or `join`, never from text of a researcher."""

    __slots__ = ()


Child = str | None
_VOID = {"meta", "br", "input", "hr"}


def escape(text: str) -> str:
    """Text as HTML text or as a double-quoted attribute: cleaned, with & < > " ' as entities."""
    return html.escape(clean(text), quote=True)


def join(*children: Child) -> Html:
    """Children one after another; those that are not `Html` are escaped, None is nothing."""
    return Html("".join(c if isinstance(c, Html) else escape(c) for c in children if c is not None))


def el(name: str, /, *children: Child, **attributes: str | bool | None) -> Html:
    """<name attributes>children</name>. `class_` is class, aria_label is aria-label; None and False are left
    out."""
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(str(value))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    return Html(f"<{name}{written}>" if name in _VOID else f"<{name}{written}>{join(*children)}</{name}>")


def embed_json(data: Any) -> Html:
    """JSON for the inside of a script element: no character of it can end the element or open a comment."""
    written = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Html(written.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def csp_hash(source: str) -> str:
    """The hash by which a Content-Security-Policy admits one inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"
