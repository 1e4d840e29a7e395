"""Text that a researcher wrote, made safe to show: the first of two walls (the second is escaping, in
markup.py).

Control characters move a terminal's cursor, and bidirectional or zero-width ones make code read differently
from what runs (Boucher & Anderson 2023, "Trojan Source"), so they are shown by name rather than obeyed.
"""

import re
import unicodedata

REPLACED = "\N{REPLACEMENT CHARACTER}"
_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_MARK = r"[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
_MARKS = re.compile(f"({_MARK}{{3}}){_MARK}+")


# Letters of other scripts that cannot be told from Latin ones (Unicode TS 39, confusables) are shown by their code
# where they stand in a Latin word; Latin ones in disguise (full width, mathematical) everywhere.
_LOOK = "АВЕЅІЈКМНОРСТУХаеорсухѕіјһԁԛԝӏΑΒΕΖΗΙΚΜΝΟΡΤΥΧονⅠⅤⅩⅬⅭⅮⅯⅰⅴⅹⅼⅽⅾⅿ"
_ALIKE = re.compile(f"(?<=[A-Za-z0-9])[{_LOOK}]+|[{_LOOK}]+(?=[A-Za-z0-9])|[\uff10-\uff5a\U0001d400-\U0001d7ff]+")


class _Visible(dict[int, str]):
    """A translation table that is filled as characters are met."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        if character in "\n\t" or unicodedata.category(character) not in _CATEGORIES:
            shown = character
        elif 0xD800 <= code <= 0xDFFF:
            shown = REPLACED  # a lone surrogate cannot be written as UTF-8
        else:
            shown = f"⟨U+{code:04X}⟩"
        self[code] = shown
        return shown


_VISIBLE = _Visible()


def unmask(text: str) -> str:
    """The text with look-alike letters shown by their code, so that no name passes for another."""
    return _ALIKE.sub(lambda m: "".join(f"⟨U+{ord(c):04X}⟩" for c in m[0]), text)


def clean(text: str) -> str:
    """Text of several lines with every control, format, surrogate and unassigned character made visible.

    Newline and tab stay; carriage returns before a newline go; runs of combining marks are cut after three; letters
    that pass for Latin ones are shown by their code where they stand in a Latin word.
    """
    return unmask(_MARKS.sub(r"\1", str(text).replace("\r\n", "\n").translate(_VISIBLE)))


def line(text: str, width: int = 80) -> str:
    """One line of at most `width` characters: cleaned, white space folded, cut with an ellipsis."""
    # A hostile name may be a megabyte long: no more of it is cleaned than could be shown.
    flat = " ".join(clean(str(text)[: 8 * width + 64]).split())
    return flat if len(flat) <= width else flat[: max(width - 1, 0)].rstrip() + "…"
