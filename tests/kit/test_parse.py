"""Programs are read by one thread at a time."""

import ast
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from aarlab.kit import parse


def test_no_two_threads_are_inside_the_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    inside, most, real = [0], [0], ast.parse

    def watched(*given: Any, **more: Any) -> Any:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.01)  # others come to the door meanwhile
        try:
            return real(*given, **more)
        finally:
            inside[0] -= 1

    monkeypatch.setattr(ast, "parse", watched)
    started = threading.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: (started.wait(), ast.dump(parse.tree(f"x = {n}")))[1], range(4)))
    assert most == [1] and found == [ast.dump(real(f"x = {n}")) for n in range(4)]


def test_what_is_no_program_is_named() -> None:
    with pytest.raises(SyntaxError) as raised:
        parse.tree("def run(:", "method.py")
    assert raised.value.filename == "method.py"
