"""Which sentences can still be read inside a sandbox? Those must not become sealed rows.

What is mounted there is read as it lies on disk, text and binary alike: every byte that is not a letter counts as
white space, letters as lower case, so that comment signs, quotes, line breaks and markup hide nothing. A sentence
is found where its words follow one another. Words are first compared by first letter, last letter and length, in
shingles of up to six, for all positions at once; whatever passes is compared letter by letter.
"""

import ast
import hashlib
import json
import os
import re
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aarlab.kit.cache import cache_dir
from aarlab.kit.libraries import interpreter_paths, mounted_paths
from aarlab.problems.w2s.prose.corpus import SKIPPED, standard_library

CHUNK, OVERLAP = 1 << 23, 1 << 13  # bytes; a sentence is much shorter than the overlap
SHINGLE = 6
# What a sandbox's standard library does not hold at all (beside what corpus.py skips).
LEFT_OUT = SKIPPED | {"pydoc_data", "idlelib", "tkinter", "lib2to3", "turtle.py", "ensurepip", "venv"}

_LETTERS = np.full(256, 32, np.uint8)
_LETTERS[97:123] = np.arange(97, 123)
_LETTERS[65:91] = np.arange(97, 123)
_ROLE = re.compile(rb":[a-z]+:`")
_BITS = 22


def normal(text: str) -> str:
    """The words of a text: runs of the letters a to z, in lower case, single-spaced."""
    return " ".join(re.findall(r"[a-z]+", text.lower()))


def find(texts: Iterable[str], buffers: Iterable[bytes]) -> set[str]:
    """Which of the texts occur in a stream of buffers, read as one; a single word is never found."""
    wanted: dict[int, dict[int, list[tuple[bytes, str]]]] = defaultdict(lambda: defaultdict(list))
    for text in set(texts):
        words = normal(text).split()
        if len(words) > 1:
            k = min(SHINGLE, len(words))
            signs = _signs(np.frombuffer(" ".join(words[:k]).encode(), np.uint8))[2]
            wanted[k][int(_shingles(signs, k)[0])].append((" ".join(words).encode(), text))
    tables = {k: _table(list(hashes)) for k, hashes in wanted.items()}
    found: set[str] = set()
    for chunk in _chunks(buffers):
        starts, ends, signs = _signs(chunk)
        for k, (bitmap, known) in tables.items():
            if len(signs) < k:
                continue
            shingles = _shingles(signs, k)
            hits = np.flatnonzero(bitmap[shingles >> np.uint64(64 - _BITS)])
            hits = hits[np.isin(shingles[hits], known)]
            for at in hits:
                for words_, text in wanted[k][int(shingles[at])]:
                    last = int(at) + words_.count(b" ")
                    if text not in found and last < len(ends):
                        here = chunk[starts[at] : ends[last]].tobytes()
                        if b" ".join(here.split()) == words_:
                            found.add(text)
    return found


def _table(hashes: Sequence[int]) -> tuple[NDArray[np.bool_], NDArray[np.uint64]]:
    known = np.array(hashes, np.uint64)
    bitmap = np.zeros(1 << _BITS, bool)
    bitmap[known >> np.uint64(64 - _BITS)] = True
    return bitmap, known


def _chunks(buffers: Iterable[bytes]) -> Iterator[NDArray[np.uint8]]:
    """Buffers as overlapping chunks of lower-case letters and spaces."""
    held: list[bytes] = []
    size = 0
    for buffer in buffers:
        held.append(buffer)
        size += len(buffer) + 1
        if size >= CHUNK:
            whole = b"\n".join(held)
            for start in range(0, len(whole), CHUNK):
                yield _letters(whole[start : start + CHUNK + OVERLAP])
            held, size = [whole[-OVERLAP:]], OVERLAP
    yield _letters(b"\n".join(held))


def _letters(raw: bytes) -> NDArray[np.uint8]:
    raw = raw.replace(b"\\n", b"  ").replace(b"\\t", b"  ")
    if b":`" in raw:
        raw = _ROLE.sub(b" ", raw)
    return _LETTERS[np.frombuffer(raw, np.uint8)]


def _signs(text: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint64]]:
    """Start, end and sign (first letter, last letter, length) of every word."""
    inside = np.empty(len(text) + 2, np.int8)
    inside[0] = inside[-1] = 0
    np.not_equal(text, 32, out=inside[1:-1].view(bool))
    edges = np.flatnonzero(inside[1:] != inside[:-1])
    starts, ends = edges[::2], edges[1::2]
    sign = (text[starts].astype(np.uint64) << np.uint64(14)) ^ (text[ends - 1].astype(np.uint64) << np.uint64(6))
    return starts, ends, sign ^ np.minimum(ends - starts, 63).astype(np.uint64)


def _shingles(signs: NDArray[np.uint64], k: int) -> NDArray[np.uint64]:
    """A hash of every k words in a row, wrapping modulo 2^64 and spread over the high bits."""
    n = len(signs) - k + 1
    out = np.zeros(n, np.uint64)
    for i in range(k):
        out *= np.uint64(0x9E3779B97F4A7C15)
        out += signs[i : i + n]
        out ^= out >> np.uint64(29)
    return out * np.uint64(0xBF58476D1CE4E5B9)


def files_under(paths: Iterable[Path]) -> list[Path]:
    """Every regular file at or under the paths, sorted, without following links to folders."""
    out: list[Path] = []
    for path in paths:
        if path.is_file():
            out.append(path)
        for folder, _, names in os.walk(path):
            out += [p for p in (Path(folder, name) for name in names) if p.is_file()]
    return sorted(set(out))


def contents(paths: Iterable[Path]) -> Iterator[bytes]:
    """The files at or under the paths, large ones in pieces."""
    for path in files_under(paths):
        with path.open("rb") as f:
            while piece := f.read(CHUNK):
                yield piece


def messages(root: Path) -> Iterator[bytes]:
    """Strings that stay in a standard library stripped of docstrings and comments: all that are not statements."""
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(s for s in subfolders if s not in LEFT_OUT)
        for name in sorted(n for n in names if n.endswith(".py") and n not in LEFT_OUT):
            try:
                tree = ast.parse(Path(folder, name).read_bytes())
            except (SyntaxError, ValueError, OSError, RecursionError):
                continue
            prose = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
            strings = [
                n.value for n in ast.walk(tree)
                if isinstance(n, ast.Constant) and isinstance(n.value, str) and id(n) not in prose
            ]  # fmt: skip
            yield "\n".join(strings).encode(errors="replace")


def mounted() -> list[Path]:
    """What a sandbox mounts as it is: the interpreter, its extension modules, the kit's libraries."""
    return sorted({*interpreter_paths(), *mounted_paths()})


@cache
def leaked() -> frozenset[str]:
    """Keys of the standard library's sentences that a sandbox can still read somewhere.

    Takes about a minute the first time; the answer is kept by a fingerprint of every mounted file's path, size and
    time of change.
    """
    paths = mounted()
    digest = hashlib.sha256(Path(__file__).read_bytes() + sys.version.encode())
    for path in files_under(paths):
        stat = path.stat()
        digest.update(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    sentences = {s.key for s in standard_library()}
    for key in sorted(sentences):
        digest.update(key.encode() + b"\n")
    kept = cache_dir() / f"prose-leaks-{digest.hexdigest()[:16]}.json"
    try:
        return frozenset(json.loads(kept.read_text()))
    except (OSError, ValueError):
        pass
    found = find(sentences, contents(paths)) | find(sentences, messages(Path(sysconfig.get_path("stdlib"))))
    kept.parent.mkdir(parents=True, exist_ok=True)
    draft = kept.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(sorted(found)))
    draft.replace(kept)
    return frozenset(found)
