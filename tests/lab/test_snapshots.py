"""What is a method and what is not: refusals name file, line and limit; every method of the zoo is accepted."""

import ast
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aarlab.kit import zoo
from aarlab.lab import snapshots
from aarlab.lab.snapshots import MAX_BYTES, MAX_LITERAL, BadMethod, identify, load, store, validate

ENTRIES = ("run",)
RUN = "def run(task):\n    return task.teacher.test\n"
CARD = 'name = "a"\nfamily = "other"\n'


def folder(code: str = RUN, card: str = CARD, **more: str) -> dict[str, str]:
    return {"method.py": code, "card.toml": card, **{k.replace("_dot_", "."): v for k, v in more.items()}}


@pytest.mark.parametrize("name", sorted(zoo.BASELINES))
def test_every_baseline_is_a_method(name: str) -> None:
    config = zoo.BASELINES[name]
    validate({"method.py": zoo.source(config), "card.toml": zoo.card(config, "why", (0.0, -1.0, 1.0))}, ENTRIES)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (folder("x = 1\n"), r"method\.py: defines no function `run\(task\)`"),
        (folder("class A:\n    def run(task): pass\n"), r"defines no function `run\(task\)` at its top level"),
        (folder("def run(task):\n    return (\n"), r"method\.py:2: "),
        (folder(RUN, helper_dot_py="x = = 1\n"), r"helper\.py:1: invalid syntax"),
        (folder(RUN + f"x = '{'a' * 513}'\n"), r"method\.py:3: a literal of 513 bytes; at most 512"),
        (folder(RUN + f"x = {'ü' * 257!r}\n"), r"method\.py:3: a literal of 514 bytes"),
        (folder(RUN + "x = " + " ".join(["'" + "a" * 300 + "'"] * 2) + "\n"), "a literal of 600 bytes"),
        (folder(RUN + f"x = b'{'a' * 513}'\n"), "a literal of 513 bytes"),
        (folder(RUN + f"x = 0x{'f' * 1028}\n"), "a literal of 514 bytes"),
        (folder(RUN + f"x = f'{{task}}{'a' * 600}'\n"), "a literal of 600 bytes"),
        (folder(f'def run(task):\n    """{"a" * 600}"""\n'), r"method\.py:2: a literal of 600 bytes"),
        (folder(RUN + f"x = {list(range(200))}\n"), r"method\.py:3: a table of \d+ bytes"),
        (folder(RUN + f"x = {[[i, -i / 7] for i in range(60)]}\n"), r"method\.py:3: a table of \d+ bytes"),
        (folder(RUN + f"x = {({i: str(i) for i in range(100)})}\n"), r"a table of \d+ bytes"),
        (folder(RUN + f"x = {{{', '.join(map(str, range(200)))}}}\n"), r"a table of \d+ bytes"),
        (folder(RUN + "#" * MAX_BYTES), r"the folder holds \d+ bytes; at most 65536"),
        (folder(RUN, a_dot_md="x" * 40_000, b_dot_md="y" * 40_000), r"the folder holds \d+ bytes"),
        (folder(RUN + "\0"), r"method\.py: not text \(a zero byte\)"),
        (folder(RUN + "# \ud800"), r"method\.py: not text"),
        (folder("# coding: utf-7\n" + RUN), r"method\.py:1: declares the encoding utf-7"),
        (folder("# vim: set fileencoding=latin-1 :\n" + RUN), r"method\.py:1: declares the encoding iso-8859-1"),
        (folder("#!x\n# -*- coding: none-such -*-\n" + RUN), r"method\.py:1: .*encoding"),
        (folder(card="name = \n"), r"card\.toml: "),
        (folder(card="x = " + "[" * 20_000), r"card\.toml: "),
        (folder(card="x = " + "9" * 5_000), r"card\.toml: "),
        (folder(RUN + "x = " + "9" * 5_000), r"method\.py:\d+: "),
        (folder(RUN + "x = " + "(" * 5_000 + ")" * 5_000), r"method\.py:\d+: "),
        (folder(RUN + "x = " + "-" * 50_000 + "1"), r"method\.py:\d+: "),
        (folder(RUN + "x = " + "1" + "+1" * 30_000), r"method\.py:\d+: "),
        (folder(RUN + "x = a" + ".a" * 30_000), r"method\.py:\d+: "),
        ({"method.py": RUN}, r"no card\.toml in the folder"),
        ({"card.toml": CARD}, r"no method\.py in the folder"),
        ({}, "in the folder"),
        ({f"a{i}.py": "" for i in range(20)}, "20 files; at most 16"),
        (["method.py"], "a folder of text files"),
        (None, "a folder of text files"),
        ({"method.py": b"x", "card.toml": CARD}, "a folder of text files"),
        (folder(**{"../../x.py": ""}), "a file is named like"),
        (folder(**{"a/b.py": ""}), "a file is named like"),
        (folder(**{"x.npy": ""}), "a file is named like"),
        (folder(**{".x.py": ""}), "a file is named like"),
        (folder(**{"x.py\n": ""}), "a file is named like"),
        (folder(**{"a" * 80 + ".py": ""}), "a file is named like"),
    ],
)  # fmt: skip
def test_what_is_no_method_is_refused_with_the_place(files: object, said: str) -> None:
    with pytest.raises(BadMethod, match=said) as refused:
        validate(files, ENTRIES)  # type: ignore[arg-type]
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    "code",
    [
        f"x = '{'a' * MAX_LITERAL}'\n",
        f"x = {list(range(100))}\n",
        "# coding: utf-8\n",
        "x = [f(i) for i in range(10)]\n",
        "x = 1.5 + 2j\n" * 500,
    ],
)
def test_what_is_within_the_limits_is_accepted(code: str) -> None:
    validate(folder(code + RUN), ENTRIES)


def test_what_runs_is_what_was_looked_at(tmp_path: Path) -> None:
    """A declared encoding would make Python run other code than the text says: the reason for refusing it."""
    hidden = "# coding: utf-7\n#+AAo-x=1\n"
    scope: dict[str, int] = {}
    exec(compile(hidden.encode(), "method.py", "exec"), scope)
    assert scope["x"] == 1
    with pytest.raises(BadMethod, match="encoding"):
        validate(folder(hidden + RUN), ENTRIES)


def test_a_snapshot_is_stored_once_by_its_content(tmp_path: Path) -> None:
    files = folder(RUN + "# ü\r\n", notes_dot_md="a\r\nb")
    name = store(tmp_path, files)
    before = (tmp_path / name).stat().st_mtime_ns
    assert store(tmp_path, dict(reversed(files.items()))) == name == identify(files)
    assert (tmp_path / name).stat().st_mtime_ns == before
    assert load(tmp_path, name) == files
    assert identify({**files, "notes.md": "a\nb"}) != name


def _append(snapshot: Path) -> None:
    (snapshot / "method.py").write_text("x")


def _binary(snapshot: Path) -> None:
    (snapshot / "method.py").write_bytes(b"\xff\xfe")


def _add(snapshot: Path) -> None:
    (snapshot / "more.py").write_text("")


def _nest(snapshot: Path) -> None:
    (snapshot / "more").mkdir()


@pytest.mark.parametrize("tamper", [_append, _binary, _add, _nest])
def test_a_snapshot_that_was_changed_is_not_loaded(tmp_path: Path, tamper: Callable[[Path], None]) -> None:
    name = store(tmp_path, folder())
    tamper(tmp_path / name)
    with pytest.raises(BadMethod, match=f"snapshot {name} "):
        load(tmp_path, name)


@pytest.mark.parametrize("name", ["", "..", "../../etc", "0" * 15, "0" * 16, "0" * 17, "F" * 16, "0123456789abcdef\n"])
def test_what_is_no_snapshot_is_not_looked_for(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadMethod, match="no snapshot"):
        load(tmp_path, name)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=80), st.text(max_size=80))
def test_any_notes_are_refused_or_stored_and_loaded_unchanged(
    tmp_path_factory: pytest.TempPathFactory, notes: str, comment: str
) -> None:
    files = folder(RUN + "# " + " ".join(comment.split()), notes_dot_md=notes)
    try:
        validate(files, ENTRIES)
    except BadMethod as refused:
        assert "not text" in str(refused) or "method.py:" in str(refused)
        return
    home = tmp_path_factory.mktemp("store")
    assert snapshots.load(home, snapshots.store(home, files)) == files


def test_a_sandbox_is_given_programs_without_comments_cards_and_notes() -> None:
    code = "import numpy as np  # 0.731, 0.22\n\n# fitted: 1 0 1 1\ndef run(task):\n    s = '# no comment'\n    return s  #x\n"
    given = snapshots.bare({"method.py": code, "card.toml": "name = '0.731'", "notes.md": "1 0 1 1", "data.txt": "1"})
    assert set(given) == {"method.py"}
    assert "0.731" not in given["method.py"] and "fitted" not in given["method.py"]
    assert "'# no comment'" in given["method.py"]
    # Lines stay where they were, so that a message names the researcher's own.
    assert given["method.py"].count("\n") == code.count("\n")
    assert ast.dump(ast.parse(given["method.py"])) == ast.dump(ast.parse(code))
