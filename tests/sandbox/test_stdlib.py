"""The stripped standard library holds no prose, and is the same program."""

import ast
import io
import os
import random
import threading
import time
import tokenize
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aarlab.sandbox import mounts, stdlib

SOURCE = b'''"""Module words."""
# a comment
import os  # another
class A:
    """Class words."""
    x = 1
    """Attribute words."""
    def f(self):
        """Only words."""
    async def g(self, s="kept # text"):
        "Words."
        return s  # trailing
A.__doc__ = "Assigned words."
__doc__ = f"more {os.name} words"
f.__doc__ = getattr(os, "sep")
if True:
    """Loose words."""
else:
    "other words"
'''


def prose(source: str) -> list[str]:
    """Docstrings and comments of a program."""
    found = [
        t.string for t in tokenize.generate_tokens(io.StringIO(source).readline) if t.type == tokenize.COMMENT
    ]
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            found.append(node.value.value)
    return found


def test_strip() -> None:
    assert len(prose(SOURCE.decode())) == 10  # the control: there is something to find
    stripped = stdlib.strip(SOURCE)
    assert prose(stripped) == []
    assert "words" not in stripped
    assert "kept # text" in stripped and "getattr(os, 'sep')" in stripped
    namespace: dict[str, object] = {}
    exec(compile(stdlib.strip(b'def f(x):\n    """Words."""\n    return x + 1\n'), "f", "exec"), namespace)
    assert namespace["f"](1) == 2  # type: ignore[operator]


def test_strip_says_what_is_wrong() -> None:
    with pytest.raises(SyntaxError):
        stdlib.strip(b"def f(:")


@pytest.fixture(scope="module")
def library() -> Path:
    return mounts.base().folder / mounts.SITE.lstrip("/") / ".."


def test_no_prose_remains(library: Path) -> None:
    sources = [p for p in library.resolve().rglob("*.py") if "site-packages" not in p.parts]
    assert len(sources) > 400
    random.Random(0).shuffle(sources)
    for path in [
        *sources[:60],
        library / "argparse.py",
        library / "typing.py",
        library / "asyncio" / "tasks.py",
    ]:
        assert prose(path.read_text()) == [], path
    original = Path(os.__file__).parent / "argparse.py"
    assert len(prose(original.read_text())) > 100  # control


def test_bytecode_has_no_docstring_either(library: Path) -> None:
    words = b"Command-line parsing library"
    assert words in (Path(os.__file__).parent / "argparse.py").read_bytes()
    compiled = list((library / "__pycache__").glob("argparse.*.pyc"))
    assert len(compiled) == 1
    assert words not in compiled[0].read_bytes()


def test_what_is_left_out(library: Path) -> None:
    names = {path.name for path in library.iterdir()}
    assert {"os.py", "json", "lib-dynload", "site-packages"} <= names
    assert not names & (stdlib.LEFT_OUT - {"__pycache__", "site-packages", "dist-packages"})
    assert not list(library.glob("*.txt"))


def test_base_is_built_once_and_again_when_something_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []

    def build(to: Path) -> None:
        built.append(to)
        to.mkdir()
        library = tmp_path / "libc"
        library.write_text("1" * (len(built) + 1)) if len(built) == 1 else None
        copied = {str(library): mounts._stamp(library)}
        (to / "base.json").write_text(
            mounts.json.dumps({"library_folder": "/lib", "loaders": [], "copied": copied})
        )

    monkeypatch.setenv("AARLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(mounts, "_build", build)
    fresh = mounts.base.__wrapped__
    first = fresh()
    assert first.folder.parent == tmp_path / "cache" and fresh() == first and len(built) == 1
    (tmp_path / "libc").write_text("a system update")
    fresh()
    assert len(built) == 2
    left = {path.name for path in (tmp_path / "cache").iterdir()}
    assert left == {first.folder.name, f"{first.folder.name}.lock"}  # nothing half built


def test_two_that_build_at_once_share_one_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second must not swap it under the sandboxes of the first, which would look like an attack."""
    both, started = threading.Barrier(2), []

    def build(to: Path) -> None:
        started.append(to)
        time.sleep(0.1)
        to.mkdir()
        (to / "base.json").write_text('{"library_folder": "/lib", "loaders": [], "copied": {}}')

    def one(_: int) -> mounts.Base:
        both.wait(30)
        return mounts.base.__wrapped__()

    monkeypatch.setenv("AARLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(mounts, "_build", build)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(one, range(2))
    assert first == second and len(started) == 1
