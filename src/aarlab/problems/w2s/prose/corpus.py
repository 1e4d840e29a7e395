"""English sentences out of Python source: docstrings, comments and long strings, as lower-case words and marks."""

import ast
import hashlib
import json
import os
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from aarlab.kit.cache import cache_dir

SHORTEST, LONGEST = 6, 26  # words and marks of a sentence, full stop included
LIBRARIES = ("numpy", "scipy", "sklearn", "torch", "joblib", "networkx", "sympy", "mpmath")
SKIPPED = {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__", "lib-dynload", "turtledemo"}

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`\"'(])")
_PARAGRAPH = re.compile(r"\n\s*\n")
_COMMENT = re.compile(r"^[ \t]*#+:?[ \t]?(.*)$")
_TOKEN = re.compile(r"[,;:()]|\.$|\S+?(?=[,;:()]*(?:\s|\.?$))")
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?(?:-[a-z]+)*")
_MARKUP = re.compile(r":[a-z]+:(?=`)|[`*\"“”]")
_ROLE_LINE = re.compile(r"^\s*(?:>>>|\.\.\s|:\w+|@|[-=+|~^]{3,}|\$|\d+\s)")


@dataclass(frozen=True)
class Sentence:
    """words: lower-case words and marks, the last a full stop; source: the file (or topic) that it stands in;
    comment: whether it stands in a comment rather than in a docstring."""

    words: tuple[str, ...]
    source: str
    comment: bool

    @property
    def key(self) -> str:
        """What makes two sentences the same: their words without marks."""
        return " ".join(w for w in self.words if w[0].isalpha())


def is_word(token: str) -> bool:
    """Whether a token is an ordinary lower-case English-looking word, rather than a mark or a piece of code."""
    return _WORD.fullmatch(token) is not None


def tokens(text: str) -> tuple[str, ...]:
    """Lower-case words and marks of one sentence; quotation and markup signs are dropped."""
    return tuple(_TOKEN.findall(_MARKUP.sub("", text).lower()))


def write(words: Iterable[str]) -> str:
    """Words and marks as a line of text: the inverse of `tokens` for what `tokens` makes."""
    text = " ".join(words)
    return re.sub(r" (?=[,;:)]|\.$)", "", text).replace("( ", "(")


def _sentences(block: str) -> Iterator[tuple[str, ...]]:
    """The clean sentences of one comment or docstring: a capital first, a full stop last, words for the most part."""
    for paragraph in _PARAGRAPH.split(block):
        lines = paragraph.splitlines()
        if any(_ROLE_LINE.match(line) for line in lines):
            continue
        for sentence in _SENTENCE_END.split(" ".join(line.strip() for line in lines)):
            sentence = sentence.strip()
            if not (sentence[:1].isupper() and sentence.endswith(".")) or sentence.endswith("..."):
                continue
            words = (*tokens(sentence[:-1]), ".")
            if not SHORTEST <= len(words) <= LONGEST or sum(map(is_word, words)) < 0.75 * len(words):
                continue
            if tokens(write(words)) == words:  # so that a row shows what the student reads
                yield words


def _blocks(text: str, strings: bool) -> Iterator[tuple[str, bool]]:
    """(block, is a comment) of a source file: docstrings (or every long string), and runs of comment lines."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if strings and isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) > 40:
            yield node.value, False
        elif not strings and isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ):
            doc = ast.get_docstring(node)
            if doc:
                yield doc, False
    run: list[str] = []
    for line in [*text.splitlines(), ""]:
        match = _COMMENT.match(line)
        if match:
            run.append(match[1])
        elif run:
            yield "\n".join(run), True
            run = []


def _files(root: Path) -> Iterator[Path]:
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(s for s in subfolders if s not in SKIPPED)
        yield from (Path(folder, name) for name in sorted(names) if name.endswith(".py"))


def harvest(root: Path, strings: bool = False) -> list[Sentence]:
    """Sentences of every Python file under a folder, in path order, one of each key. With `strings`, long string
    constants too, for libraries that attach their docstrings at run time."""
    found: dict[str, Sentence] = {}
    for path in _files(root):
        source = path.relative_to(root).as_posix()
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if source == "pydoc_data/topics.py":
            blocks = [(f"{source}#{name}", body, False) for name, body in _topics(text).items()]
        else:
            blocks = [(source, body, comment) for body, comment in _blocks(text, strings)]
        for name, body, comment in blocks:
            for words in _sentences(body):
                sentence = Sentence(words, name, comment)
                found.setdefault(sentence.key, sentence)
    return list(found.values())


def _topics(text: str) -> dict[str, str]:
    """The language reference that `help()` shows: topic -> text."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            return {str(k): str(v) for k, v in ast.literal_eval(node.value).items()}
    return {}


@cache
def standard_library() -> tuple[Sentence, ...]:
    """Sentences of the running interpreter's standard library, tests excluded; kept on disk after the first call."""
    root = Path(sysconfig.get_path("stdlib"))
    recipe = hashlib.sha256(Path(__file__).read_bytes() + f"{sys.version}{root}".encode()).hexdigest()[:16]
    kept = cache_dir() / f"prose-sentences-{recipe}.json"
    try:
        return tuple(Sentence(tuple(w), s, c) for w, s, c in json.loads(kept.read_text()))
    except (OSError, ValueError):
        pass
    sentences = harvest(root)
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = kept.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps([[s.words, s.source, s.comment] for s in sentences]))
    part.replace(kept)
    return tuple(sentences)


def libraries() -> list[Sentence]:
    """Sentences of the installed libraries, less every one that the standard library holds too: for pretraining."""
    held = {s.key for s in standard_library()}
    found: dict[str, Sentence] = {}
    for name in LIBRARIES:
        spec = find_spec(name)
        if spec is not None and spec.origin is not None:
            for s in harvest(Path(spec.origin).parent, strings=True):
                if s.key not in held:
                    found.setdefault(s.key, s)
    return list(found.values())
