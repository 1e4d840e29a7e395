"""A copy of the running interpreter's standard library without its prose: no docstrings, no comments.

Text testbeds draw their sealed sentences from the standard library's own docstrings and comments, so a
sandbox must not hold them. Code, names and messages stay as they are; what only people read or test is
left out."""

import ast
import py_compile
import shutil
import sysconfig
from pathlib import Path

LEFT_OUT = {
    "__pycache__", "site-packages", "dist-packages", "test", "tests", "idlelib", "idle_test", "pydoc_data",
    "lib2to3", "ensurepip", "turtledemo", "tkinter", "turtle.py", "this.py", "antigravity.py", "venv",
}  # fmt: skip


class _Strip(ast.NodeTransformer):
    """Takes out every statement that is a bare string, and empties constants assigned to a __doc__."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if isinstance(block, list) and block:
                kept = [statement for statement in block if not _is_prose(statement)]
                if not kept and field == "body" and not isinstance(node, ast.Module):
                    kept = [ast.Pass()]
                setattr(node, field, kept)
        if (
            isinstance(node, ast.Assign)
            and any(_is_doc(target) for target in node.targets)
            and isinstance(node.value, ast.Constant | ast.JoinedStr)
        ):
            node.value = ast.Constant("")
        return node


def _is_prose(statement: ast.AST) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _is_doc(target: ast.AST) -> bool:
    return (isinstance(target, ast.Name) and target.id == "__doc__") or (
        isinstance(target, ast.Attribute) and target.attr == "__doc__"
    )


def strip(source: bytes, name: str = "<source>") -> str:
    """Python source -> the same program without docstrings and comments. Raises SyntaxError."""
    tree = _Strip().visit(ast.parse(source, name))
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def copy_stripped(to: Path, origin: Path | None = None) -> None:
    """Write the stripped, compiled standard library to the new folder `to`; extension modules as they are.

    Files other than Python source and extension modules are left out (text, templates, headers, archives).
    Takes about ten seconds; `mounts.base` keeps the result.
    """
    origin = origin or Path(sysconfig.get_path("stdlib"))
    to.mkdir(parents=True)
    for path in sorted(origin.iterdir()):
        _copy(path, to / path.name, path.name)


def _copy(path: Path, to: Path, inside: str) -> None:
    if path.name in LEFT_OUT or path.name.startswith(("config-", "_tkinter.")):
        return
    if path.is_dir():
        to.mkdir()
        for child in sorted(path.iterdir()):
            _copy(child, to / child.name, f"{inside}/{child.name}")
        if not any(to.iterdir()):
            to.rmdir()
    elif path.suffix == ".py":
        to.write_text(strip(path.read_bytes(), str(path)))
        # Unchecked: nothing in a read-only tree can be newer than its bytecode.
        py_compile.compile(
            str(to), dfile=inside, doraise=True,
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )  # fmt: skip
    elif path.suffix == ".so":
        shutil.copyfile(path, to)
