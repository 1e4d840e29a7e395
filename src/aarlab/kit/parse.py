"""Reading programs as trees, one at a time: CPython 3.11 counts the depth of a tree once for all threads, and two that
parse at the same moment can fail with a SystemError that says nothing of the program."""

import ast
import threading

_turn = threading.Lock()


def tree(code: str, name: str = "<unknown>") -> ast.Module:
    """`ast.parse`, for code that threads run. Raises what that raises: SyntaxError, ValueError, RecursionError,
    MemoryError."""
    with _turn:
        return ast.parse(code, filename=name)
