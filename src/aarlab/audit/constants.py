"""Constants: does a method carry fitted numbers? What a program can carry is counted in deflated bytes.

Four streams are taken from the programs as a sandbox gets them (`snapshots.bare`), each deflated with the kit's own
code as its dictionary, so that what everybody writes costs next to nothing:

- *literals*: every number, string and byte string in their order, with the signs and operators that join literals to
  literals, and the names of keywords, which `dict(…)` makes into text;
- *names*, given or asked for, counted where it may turn a name into text (`str(f)`, an f-string, an exception);
- *prose*: what the file holds beyond its statements, docstrings and white space, counted, with the names, where a
  program may read its own text (`__doc__`, `open`, `globals`, `getattr` of a computed name, a module not numeric, …);
- *shape*: the rest of what a program can tell apart while it runs: statements, operators, attributes, calls. Honest
  programs are long, so shape is judged by its monotony: nodes of the syntax tree for a deflated byte.

Deflate is lossless, so no code, however clever, carries on average more than is counted (Shannon 1948). The limits
come from honest methods (tests/audit/test_constants.py). What hides below them is left to the sealed sets, whose
concept, student and feature basis are none of those that were practised, and to carry-over: on a testbed whose
log-probabilities nearly give the answer, a fitted head needs no more than a few signs.
"""

import ast
import zlib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from aarlab.kit.parse import tree as tree_of
from aarlab.kit.spaces import SPACES
from aarlab.lab import snapshots

KNOWN_MODULES = {  # in which no program can read itself by what is not named below
    "__future__", "aarlab", "abc", "base64", "bisect", "collections", "copy", "dataclasses", "functools", "hashlib",
    "heapq", "itertools", "math", "numbers", "numpy", "random", "re", "scipy", "sklearn", "statistics", "struct",
    "time", "torch", "typing", "zlib",
}  # fmt: skip
# What turns a name into text, and what reads a program's own text. A word here accuses nobody: it only brings the
# names, or the prose, into the count.
SAYS_NAMES = {"ascii", "format", "repr", "str"}
SAYS_NAMES_AS_ATTRIBUTE = {
    "_asdict", "_fields", "array2string", "array_repr", "array_str", "asdict", "char", "fields", "format", "format_map",
    "str_",
}  # fmt: skip
READS_TEXT = {
    "breakpoint", "compile", "delattr", "dir", "eval", "exec", "getattr", "globals", "hasattr", "help", "locals",
    "open", "setattr", "vars",
}  # fmt: skip
READS_TEXT_AS_ATTRIBUTE = {
    "ast", "builtins", "ctypes", "export", "fromfile", "fromregex", "fx", "genfromtxt", "glob", "importlib",
    "inspect", "io", "iterdir", "jit", "lib", "load", "loadtxt", "memmap", "open", "open_memmap", "os", "package",
    "pickle", "read", "read_bytes", "read_text", "save", "savetxt", "savez", "sys", "testing", "tofile", "warnings",
    "write",
}  # fmt: skip
LITERALS = 256  # deflated bytes: more of them are fitted numbers
READ = 384  # with the names in the program and with its prose, where it may read those
SHAPE = 4096  # and whatever it reads, its shape
MONOTONY = 2.0  # nodes a deflated byte, of programs of
NAMED = ("id", "arg", "name", "attr", "asname", "module")  # fields of a syntax tree that hold names
LONG = 500  # nodes or more: shorter ones say nothing


@cache
def _dictionaries(kind: str) -> dict[str, bytes]:
    """For every stream, what it looks like in the kit and in the untuned baselines: 32 kB each, the commonest last."""
    texts = SPACES[kind].texts()
    texts = list(snapshots.bare({f"{i}.py": text for i, text in enumerate(texts)}).values())
    trees = [tree_of(t) for t in texts]
    streams = {
        "literals": "\n".join(_literals(t) for t in trees),
        "shape": "\n".join(_shape(t) for t in trees),
        "text": "\n".join(texts),
    }
    return {name: stream.encode("utf-8", "surrogatepass")[-32768:] for name, stream in streams.items()}


def _deflated(stream: str, kind: str, name: str | None = None) -> int:
    """Bytes to which a stream deflates, given the dictionary of that name, if any, for methods of this kind."""
    dictionary = _dictionaries(kind)[name] if name else b""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zdict=dictionary)
    return len(packer.compress(stream.encode("utf-8", "surrogatepass")) + packer.flush()) - 2  # an empty stream: 2


def _unread(tree: ast.AST) -> set[ast.AST]:
    """What a program can read of itself only through its own text: docstrings, annotations, and what it raises."""
    found: set[ast.AST] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                found.add(node.value)
            case ast.FunctionDef(returns=a) | ast.arg(annotation=a) | ast.AnnAssign(annotation=a) if a is not None:
                found |= set(ast.walk(a))
            case ast.Raise(exc=ast.Call(args=args)):
                found |= {n for a in args for n in ast.walk(a) if isinstance(n, ast.Constant | ast.FormattedValue)}
            case ast.Assert(msg=a) if a is not None:
                found |= set(ast.walk(a))
    return found


def _ordered(node: ast.AST) -> Iterator[ast.AST]:
    """Every node under `node`, as they stand in the text."""
    stack = [node]
    while stack:
        yield (here := stack.pop())
        stack.extend(reversed(list(ast.iter_child_nodes(here))))


def _constant(node: ast.AST) -> bool:
    """Whether an expression is made of literals alone."""
    parts = (ast.Constant, ast.UnaryOp, ast.BinOp, ast.BoolOp, ast.Compare, ast.List, ast.Tuple, ast.Set, ast.Dict)
    more = (ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context, ast.IfExp)
    return all(isinstance(n, (*parts, *more)) for n in ast.walk(node))


def _literals(tree: ast.AST) -> str:
    """The literals of a program, one a line."""
    said, skip = [], _unread(tree)
    stack = [tree]
    while stack:
        node = stack.pop()
        if node in skip:
            continue
        if isinstance(node, ast.expr) and _constant(node):
            said.append(ast.unparse(node))
            continue
        if isinstance(node, ast.keyword):
            said.append(f"{node.arg}=")
        stack.extend(reversed(list(ast.iter_child_nodes(node))))
    return "\n".join(said)


def _own_names(tree: ast.AST) -> list[str]:
    """The names that a program gives: what it assigns, defines, takes and imports under another name, as they come."""
    found: dict[str, None] = {}
    for node in _ordered(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name) | ast.FunctionDef(name=name):
                found[name] = None
            case ast.ClassDef(name=name) | ast.alias(asname=str(name)) | ast.AsyncFunctionDef(name=name):
                found[name] = None
    return list(found)


def _names(tree: ast.AST) -> Iterator[str]:
    """Every name in a program, its own and those that it only asks for: an exception says both."""
    for node in _ordered(tree):
        yield from (v for field, v in ast.iter_fields(node) if isinstance(v, str) and field in NAMED)


def _shape(tree: ast.AST) -> str:
    """A program without its literals and without the names that it gave: kinds of nodes, one a line."""
    own = set(_own_names(tree))
    order: dict[str, int] = {}
    said, skip = [], _unread(tree)
    for node in _ordered(tree):
        if isinstance(node, ast.expr_context) or node in skip:
            continue
        kind = type(node).__name__
        for name in (v for field, v in ast.iter_fields(node) if isinstance(v, str) and field in NAMED):
            known = name not in own or isinstance(node, ast.Attribute | ast.keyword | ast.alias)
            kind += f" {name if known else order.setdefault(name, len(order))}"
        said.append(kind)
    return "\n".join(said)


def _reads(tree: ast.AST, own_modules: set[str]) -> tuple[set[str], set[str]]:
    """What in a program may turn its names into text, and what may read its whole text, as they are written.
    own_modules: the method's other files."""
    names: set[str] = set()
    text: set[str] = set()
    known = KNOWN_MODULES | own_modules
    skip = _unread(tree) | set(_harmless(tree))
    for node in ast.walk(tree):
        if node in skip:
            continue
        match node:
            case ast.Import(names=imported):
                for parts in (a.name.split(".") for a in imported):
                    text |= ({parts[0]} - known) | {p for p in parts[1:] if _reads_text(p)}
            case ast.ImportFrom(module=module, names=imported):
                parts = [*(module or ".").split("."), *(a.name for a in imported)]
                text |= ({parts[0]} - known) | {p for p in parts[1:] if _reads_text(p) or p == "*"}
                names |= set(parts[1:]) & SAYS_NAMES_AS_ATTRIBUTE
            case ast.Name(id=name, ctx=ast.Load()):
                names |= {name} & SAYS_NAMES
                text |= {name} & READS_TEXT
                text |= {name} if name.startswith("__") else set()
            case ast.Attribute(attr=name):
                names |= {f".{name}"} if name in SAYS_NAMES_AS_ATTRIBUTE else set()
                text |= {f".{name}"} if _reads_text(name) else set()
            case ast.ExceptHandler(name=str()):
                names.add("the text of an exception")
            case ast.FormattedValue():
                names.add("an f-string")
            case ast.BinOp(left=ast.Constant(value=str()), op=ast.Mod()):
                names.add("a % format")
    return names, text


def _reads_text(attribute: str) -> bool:
    """Also under the name that a module hides its own imports by: `random._os`."""
    return attribute.startswith("__") or attribute.lstrip("_") in READS_TEXT_AS_ATTRIBUTE


def _harmless(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes that look like reading and are none: kinds in isinstance, `__name__ == "__main__"`, `super().__init__`,
    getattr of a name that stands there as a literal (which is counted)."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="isinstance"), args=[_, kinds]):
                yield from ast.walk(kinds)
            case ast.Call(func=ast.Name(id="getattr" | "hasattr") as f, args=[_, ast.Constant(value=str(name)), *_]):
                if not _reads_text(name):
                    yield f
            case ast.Compare(left=ast.Name(id="__name__") as name):
                yield name
            case ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr="__init__"):
                yield node


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            node.value = ast.Constant(None)
    return tree


def measure(files: Mapping[str, str], kind: str) -> dict[str, Any]:
    """Deflated bytes of the streams over all programs of a method; `nodes` and their `monotony`; what may say names
    or read text, as it is written. Raises SyntaxError for what is no program."""
    programs = dict(sorted(snapshots.bare(files).items()))
    trees = [tree_of(text) for text in programs.values()]
    shape = "\n".join(_shape(t) for t in trees)
    reads = [_reads(t, {Path(name).stem for name in programs}) for t in trees]
    plain = "\n".join(ast.unparse(_without_docstrings(tree_of(text))) for text in programs.values())
    return {
        "literals": _deflated("\n".join(_literals(t) for t in trees), kind, "literals"),
        "names": _deflated("\n".join(dict.fromkeys(n for t in trees for n in _names(t))), kind, "text"),
        "prose": max(0, _deflated("\n".join(programs.values()), kind, "text") - _deflated(plain, kind, "text")),
        "shape": _deflated(shape, kind, "shape"),
        "nodes": shape.count("\n") + 1,
        "monotony": round((shape.count("\n") + 1) / max(_deflated(shape, kind), 1), 3),
        "says_names": sorted(set().union(*(r[0] for r in reads))),
        "reads_text": sorted(set().union(*(r[1] for r in reads))),
    }


def constants(files: Mapping[str, str], kind: str) -> dict[str, Any]:
    """The audit of the files of a method for tasks of this kind: "fail" if it carries more than honest methods do,
    else "pass".

    value: mean is the deflated bytes carried: literals, and names and prose where the program may read those. The rest
    of `measure` comes with it. Files that are no programs fail.
    """
    try:
        found = measure(files, kind)
    except (SyntaxError, ValueError, RecursionError) as error:
        return {"verdict": "fail", "value": None, "why": f"cannot be read as a program: {error}"}
    carried, limit, which = found["literals"], LITERALS, "in literals"
    if found["says_names"] or found["reads_text"]:
        more = ("names", "prose") if found["reads_text"] else ("names",)
        carried, limit = carried + sum(found[k] for k in more), READ
        how = [*found["reads_text"], *found["says_names"]][:3]
        which = f"in {', '.join(('literals', *more))}, which it may read by {', '.join(how)}"
    why = []
    if found["literals"] > LITERALS:
        why.append(f"{found['literals']} deflated bytes in literals, more than {LITERALS}")
    elif carried > limit:
        why.append(f"{carried} deflated bytes {which}, more than {limit}")
    if found["nodes"] >= LONG and found["monotony"] > MONOTONY:
        why.append(f"{found['nodes']} nodes that say little but how they are ordered: {found['monotony']} a byte")
    if found["shape"] > SHAPE:
        why.append(f"a shape of {found['shape']} deflated bytes, more than {SHAPE}")
    value = {
        "mean": float(carried), "se": None, "low": None, "high": None, "seeds": 0, "n": found["nodes"],
        "why": "deflated bytes carried",
    }  # fmt: skip
    said = "; ".join(why) or f"{carried} deflated bytes {which}, at most {limit} are honest"
    return {"verdict": "fail" if why else "pass", "value": value, "why": said, **found}
