"""Snapshots: methods as they were handed over, stored by the hash of their content, never changed after."""

import ast
import hashlib
import io
import json
import re
import tokenize
import tomllib
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path

from aarlab.kit.cache import built
from aarlab.kit.parse import tree as tree_of
from aarlab.lab import forum

MAX_BYTES = 64 * 1024
MAX_LITERAL = 512
MAX_FILES = 16
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,60}\.(py|toml|md|txt)\Z")


class BadMethod(ValueError):
    """The folder is not a method; the message says which file, which line and what to do."""


def validate(files: Mapping[str, str], entries: Sequence[str]) -> None:
    """Refuse what is no method: only text, 64 kB in all, literals of 512 bytes at most, one of the problem's entries
    and a card.

    The limits are there so that no fitted labels can be carried; `tests/lab/test_snapshots.py` tries.
    """
    if not isinstance(files, Mapping) or not all(isinstance(k, str) and isinstance(v, str) for k, v in files.items()):
        raise BadMethod("a method is a folder of text files")
    if len(files) > MAX_FILES:
        raise BadMethod(f"{len(files)} files; at most {MAX_FILES}")
    size = 0
    for name, text in files.items():
        if not NAME.match(name):
            raise BadMethod(f"{name[:80]!r}: a file is named like method.py, card.toml, notes.md")
        try:
            size += len(text.encode())
        except UnicodeEncodeError as error:
            raise BadMethod(f"{name}: not text ({error.reason})") from error
        if "\0" in text:
            raise BadMethod(f"{name}: not text (a zero byte)")
    if size > MAX_BYTES:
        raise BadMethod(f"the folder holds {size} bytes; at most {MAX_BYTES}")
    for needed in ("method.py", "card.toml"):
        if needed not in files:
            raise BadMethod(f"no {needed} in the folder")
    for name, text in files.items():
        if name.endswith(".py"):
            tree = _validate_code(name, text)
            if name == "method.py":
                _entry(tree, entries)
        elif name.endswith(".toml"):
            try:
                tomllib.loads(text)
            except (ValueError, RecursionError) as error:  # ValueError: also a number of too many digits
                raise BadMethod(f"{name}: {error}") from error


def _validate_code(name: str, text: str) -> ast.Module:
    try:
        encoding = tokenize.detect_encoding(io.BytesIO(text.encode()).readline)[0]
        tree = tree_of(text, name)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 1
        raise BadMethod(f"{name}:{line}: {getattr(error, 'msg', None) or type(error).__name__}") from error
    if encoding != "utf-8":  # Python would decode the file anew, and run other code than is looked at here
        raise BadMethod(f"{name}:1: declares the encoding {encoding}; a method is UTF-8")
    starts = list(accumulate((len(line) for line in text.encode().splitlines(keepends=True)), initial=0))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes | int):
            value = node.value
            if isinstance(value, int):
                length = (value.bit_length() + 7) // 8
            else:
                length = len(value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value)
            if length > MAX_LITERAL:
                raise BadMethod(f"{name}:{node.lineno}: a literal of {length} bytes; at most {MAX_LITERAL}")
        elif isinstance(node, ast.List | ast.Tuple | ast.Set | ast.Dict):
            length = _place(starts, node.end_lineno, node.end_col_offset) - _place(starts, node.lineno, node.col_offset)
            if length > MAX_LITERAL and _only_constants(node):
                raise BadMethod(f"{name}:{node.lineno}: a table of {length} bytes; at most {MAX_LITERAL}")
    return tree


def entry(code: str, entries: Sequence[str]) -> str:
    """Which of the problem's entries the text of method.py defines. Raises BadMethod unless it is exactly one, and
    SyntaxError for what is no program."""
    return _entry(tree_of(code, "method.py"), entries)


def _entry(tree: ast.Module, entries: Sequence[str]) -> str:
    defined = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
    found = [name for name in entries if name in defined]
    if len(found) == 1:
        return found[0]
    calls = [f"`{name}(task)`" for name in entries]
    if len(entries) == 1:
        raise BadMethod(f"method.py: defines no function {calls[0]} at its top level")
    which = f"both {' and '.join(found)}" if len(found) == 2 else ", ".join(found) or "none of them"
    raise BadMethod(f"method.py: must define one of {', '.join(calls)} at its top level; it defines {which}")


def _place(starts: list[int], line: int | None, column: int | None) -> int:
    """Byte offset of a place that the parser gives as line and column."""
    return starts[min((line or 1) - 1, len(starts) - 1)] + (column or 0)


def _only_constants(node: ast.AST) -> bool:
    data = (ast.List, ast.Tuple, ast.Set, ast.Dict, ast.Constant, ast.UnaryOp, ast.USub, ast.expr_context)
    return all(isinstance(child, data) for child in ast.walk(node))


def bare(files: Mapping[str, str]) -> dict[str, str]:
    """What a sandbox is given of a method: its programs without their comments, every line where it was.

    Cards, notes and comments are for readers. Mounted, they would be 64 kB in which fitted labels could travel.
    """
    return {name: _without_comments(text) for name, text in files.items() if name.endswith(".py")}


def _without_comments(text: str) -> str:
    lines = io.StringIO(text).readlines()
    try:
        for token in tokenize.generate_tokens(iter([*lines]).__next__):
            if token.type == tokenize.COMMENT:
                (row, start), (_, end) = token.start, token.end
                lines[row - 1] = lines[row - 1][:start] + lines[row - 1][end:]
    except (tokenize.TokenError, IndexError, SyntaxError):
        return ast.unparse(tree_of(text)) + "\n"  # the parser takes it where the tokenizer does not
    return "".join(lines)


def identify(files: Mapping[str, str]) -> str:
    """The content's name: 16 hex digits of SHA-256 over the sorted files."""
    return hashlib.sha256(json.dumps(sorted(files.items())).encode()).hexdigest()[:16]


def describe(files: Mapping[str, str]) -> tuple[str, str]:
    """Name and family from the card: claimed, cut to size, never trusted."""
    card = tomllib.loads(files["card.toml"])
    family = str(card.get("family", "other"))[:60]
    return str(card.get("name", "unnamed"))[:80], family if forum.FAMILY.match(family) else "other"


def program(files: Mapping[str, str]) -> str:
    """What the programs of a method do, whatever they are called: 16 hex digits over their syntax trees, without
    docstrings, comments and layout, the names that they give themselves numbered in order of appearance.

    Two methods with the same one are the same program; a rewritten one differs, and is found by its predictions.
    """
    trees = []
    for _, text in sorted((n, t) for n, t in files.items() if n.endswith(".py")):
        tree, names = tree_of(text), dict[str, str]()
        imported = {a.asname or a.name for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom)
                    for a in n.names}  # fmt: skip
        own = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        own |= {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}
        own |= {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef)}
        asked = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        # What the program itself never asks for is called from outside, by that name.
        own -= imported | {n.name for n in tree.body if isinstance(n, ast.FunctionDef) and n.name not in asked}
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list):
                node.body = [s for s in body if not _says_nothing(s)]  # type: ignore[attr-defined]
            for place in ("id", "arg", "name"):
                name = getattr(node, place, None)
                if isinstance(name, str) and name in own and not isinstance(node, ast.keyword):
                    setattr(node, place, names.setdefault(name, f"_{len(names)}"))
        trees.append(ast.dump(tree))
    return hashlib.sha256(json.dumps(trees).encode()).hexdigest()[:16]


def _says_nothing(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def size(folder: Path, name: str) -> int:
    """Bytes of a stored snapshot."""
    return sum(p.stat().st_size for p in (folder / name).iterdir())


def store(folder: Path, files: Mapping[str, str]) -> str:
    """Write a validated method under `folder` once; returns its identifier."""
    name = identify(files)

    def write(draft: Path) -> None:
        for file, text in files.items():
            (draft / file).write_bytes(text.encode())

    built(folder / name, write)
    return name


def load(folder: Path, name: str) -> dict[str, str]:
    """The files of a snapshot. Raises BadMethod if it is not there, or no longer what its name says."""
    if not re.fullmatch(r"[0-9a-f]{16}", name) or not (folder / name).is_dir():
        raise BadMethod(f"no snapshot {name[:40]!r}")
    try:
        files = {p.name: p.read_bytes().decode() for p in sorted((folder / name).iterdir())}
    except (OSError, UnicodeDecodeError) as error:
        raise BadMethod(f"snapshot {name} cannot be read: {error}") from error
    if identify(files) != name:
        raise BadMethod(f"snapshot {name} was changed after it was stored")
    return files
