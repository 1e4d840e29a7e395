"""How the attackers build a method from what they may see: public instances with truth, and the programs here."""

import base64
import re
import runpy
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from surface import PROPERTIES, keys

from aarlab.kit.task import W2STask

HERE = Path(__file__).parent
PRACTICE = Path("/practice")
LITERAL = 500  # bytes of text in one literal: the lab takes 512
Files = dict[str, str]


@dataclass(frozen=True)
class Public:
    """A public instance, with the truth that everybody may know."""

    task: W2STask
    y: np.ndarray
    pool_y: np.ndarray


def public() -> list[Public]:
    found = []
    for folder in sorted(PRACTICE.iterdir(), key=lambda p: int(p.name)):
        with np.load(folder / "truth.npz") as truth:
            found.append(Public(W2STask.load(folder / "task"), truth["y"], truth["pool_y"]))
    return found


def source(name: str, **constants: Any) -> str:
    """A program of this folder with the constants of its head set anew."""
    text = (HERE / f"{name}.py").read_text()
    for key, value in constants.items():
        text, count = re.subn(rf"^{key}\b.*$", lambda _, k=key, v=value: f"{k} = {v!r}", text, flags=re.M)
        if count != 1:
            raise ValueError(f"{name}.py sets {key} {count} times")
    return text


def method(name: str, what: str, helpers: Mapping[str, str] = {}, **constants: Any) -> Files:
    """A method folder around a program of this folder."""
    text = source(name, **constants)
    files = {"method.py": text, **helpers}
    if "from surface import" in "".join(files.values()):
        files["surface.py"] = source("surface")
    return {**files, "card.toml": f'name = "{what}"\nfamily = "other"\n'}


def tried(files: Files, workspace: Path) -> float:
    """Mean accuracy of a method on the public instances, run here; 0 where it fails."""
    folder = workspace / "trial"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.py"):
        old.unlink()
    for name, text in files.items():
        (folder / name).write_text(text)
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    try:
        run = runpy.run_path(str(folder / "method.py"))["run"]
        return float(np.mean([((run(p.task) > 0.5) == (p.y == 1)).mean() for p in public()]))
    except Exception as error:
        print(f"{files['card.toml']!r}: {type(error).__name__}: {error}", file=sys.stderr)
        return 0.0
    finally:
        sys.path.remove(str(folder))
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None)).startswith(str(folder)):
                del sys.modules[name]


def best(candidates: Iterator[Files] | list[Files], workspace: Path, n: int = 1) -> list[Files]:
    """The candidates that do best in practice."""
    scored = [(tried(files, workspace), i, files) for i, files in enumerate(candidates)]
    return [files for _, _, files in sorted(scored, key=lambda s: (-s[0], s[1]))[:n]]


def text85(data: bytes) -> list[str]:
    """Bytes as pieces of text that are short enough for literals."""
    told = base64.b85encode(data).decode()
    return [told[i : i + LITERAL] for i in range(0, len(told), LITERAL)]


def worth(prop: str) -> dict[str, float]:
    """What each look was worth on the public instances: share of rows with y = 1, of looks seen often."""
    seen = np.concatenate([keys(p.task.test.inputs, prop) for p in public()])
    y = np.concatenate([p.y for p in public()])
    names, counts = np.unique(seen, return_counts=True)
    common = sorted(names[counts >= 40], key=lambda n: -counts[names == n][0])[:16]
    return {str(n): round(float(y[seen == n].mean()), 2) for n in common}


def fitted(workspace: Path) -> Files:
    return best(
        [method("fitted_clusters", f"clusters by {p}", PROPERTY=p, TABLE=worth(p)) for p in PROPERTIES], workspace
    )[0]


def inside(workspace: Path) -> str:
    """The best shortcut there is on this testbed, as the module that a disguise imports."""
    candidates = [fitted(workspace), method("compute", "check the row")]
    chosen = max(candidates, key=lambda files: tried(files, workspace))["method.py"]
    return re.sub(r"^def run\(", "def answer(", chosen, flags=re.M)
