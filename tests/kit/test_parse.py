"""Programs are read by several threads at once."""

import ast
from concurrent.futures import ThreadPoolExecutor

import pytest

from aarlab.kit.parse import tree

DEEP = "x = " + "(" * 40 + "1" + ",)" * 40 + "\n"


def test_threads_read_programs_at_once() -> None:
    program = DEEP * 60
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: ast.dump(tree(program)), range(48)))
    assert set(found) == {ast.dump(ast.parse(program))}


def test_what_is_no_program_is_named() -> None:
    with pytest.raises(SyntaxError) as raised:
        tree("def run(:", "method.py")
    assert raised.value.filename == "method.py"
