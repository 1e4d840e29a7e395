"""Complexity: how much there is of a method. It informs and never accuses."""

import ast
from collections.abc import Mapping
from typing import Any

from aarlab.kit.parse import tree as tree_of
from aarlab.lab import snapshots

PLAIN = {0, 1, -1, 2, 0.5}  # numbers that nobody tunes


def complexity(files: Mapping[str, str]) -> dict[str, Any]:
    """The measures of a method's programs together, docstrings and comments aside; a block of the kit counts as the one
    call that it is. value: mean is the nodes of the syntax tree. The verdict is always "informs".

    lines: of code; nodes: of the syntax tree; tunable: numbers but 0, 1, -1, 2 and .5; branches: if, for, while, try
    and conditions of comprehensions; functions; imports: modules, sorted. Files that are no programs give no value.
    """
    try:
        trees = [tree_of(text) for _, text in sorted(snapshots.bare(files).items())]
    except (SyntaxError, ValueError, RecursionError) as error:
        return {"verdict": "informs", "value": None, "why": f"cannot be read as a program: {error}"}
    found = [_measure(tree) for tree in trees]
    counts = ("lines", "nodes", "tunable", "branches", "functions")
    whole: dict[str, Any] = {k: sum(f[k] for f in found) for k in counts}
    whole["imports"] = sorted({m for f in found for m in f["imports"]})
    value = {
        "mean": float(whole["nodes"]), "se": None, "low": None, "high": None, "seeds": 0, "n": whole["lines"],
        "why": "nodes of the syntax tree",
    }  # fmt: skip
    why = f"{whole['lines']} lines, {whole['nodes']} nodes, {whole['tunable']} tunable constants"
    return {"verdict": "informs", "value": value, "why": why, **whole}


def _measure(tree: ast.Module) -> dict[str, Any]:
    prose: set[ast.AST] = {n for n in ast.walk(tree) if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)}
    prose |= {n.value for n in prose if isinstance(n, ast.Expr)}
    nodes = [n for n in ast.walk(tree) if n not in prose and not isinstance(n, ast.expr_context)]
    lines: set[int] = set()
    for n in nodes:  # a statement that has statements inside holds the lines of its head and of its parts
        if isinstance(n, ast.stmt) and not hasattr(n, "body"):
            lines |= set(range(n.lineno, (n.end_lineno or n.lineno) + 1))
        elif isinstance(n, ast.expr | ast.stmt):
            lines |= {n.lineno}
    numbers = [n for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, int | float | complex)]
    imports = {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
    imports |= {str(n.module) for n in nodes if isinstance(n, ast.ImportFrom)}
    branches = (ast.If, ast.For, ast.While, ast.Try, ast.IfExp)
    return {
        "lines": len(lines),
        "nodes": len(nodes),
        "tunable": sum(not isinstance(n.value, bool) and n.value not in PLAIN for n in numbers),
        "branches": sum(isinstance(n, branches) for n in nodes)
        + sum(len(n.ifs) for n in nodes if isinstance(n, ast.comprehension)),
        "functions": sum(isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) for n in nodes),
        "imports": sorted(imports),
    }
