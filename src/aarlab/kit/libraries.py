"""Which third-party libraries a method can import, and where they lie: what a sandbox mounts of them."""

import os
import sys
import sysconfig
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOTS = ("numpy", "scipy", "scikit-learn", "torch", "safetensors", "optuna")
# torch asks for it only to compile extensions, and it carries a copy, prose and all, of the standard
# library's distutils.
LEFT_OUT = {"setuptools"}


class LibraryMissing(RuntimeError):
    """A library that methods are promised is not installed; the message says which and how to install it."""


def distributions() -> list[Distribution]:
    """ROOTS and all that they require here, transitively, less LEFT_OUT, sorted by name.

    Environment markers are respected; no extras. Raises LibraryMissing if one of ROOTS is absent. A missing
    transitive requirement is left out: what works without it here works without it in the sandbox.
    """
    found: dict[str, Distribution] = {}
    wanted = [(name, True) for name in ROOTS]
    while wanted:
        name, root = wanted.pop()
        key = canonicalize_name(name)
        if key in found or key in LEFT_OUT:
            continue
        try:
            found[key] = distribution(name)
        except PackageNotFoundError:
            if root:
                raise LibraryMissing(f"{name} is not installed: run `pip install {name}`") from None
            continue
        for text in found[key].requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                wanted.append((requirement.name, False))
    return [found[key] for key in sorted(found)]


def mounted_paths() -> list[Path]:
    """Absolute paths, sorted, of the top-level entries of site-packages that a sandbox mounts.

    Packages, modules, *.libs directories and dist-info of `distributions()`; no scripts, *.pth or bytecode.
    """
    paths: set[Path] = set()
    for dist in distributions():
        if dist.files is not None:
            tops = {file.parts[0] for file in dist.files}
        else:  # packaged by a Linux distribution, without a RECORD
            tops = set((dist.read_text("top_level.txt") or dist.metadata["Name"]).split())
            tops |= {f"{top}.py" for top in tops}
        for top in tops - {"..", "/", "__pycache__", "bin"}:
            path = Path(str(dist.locate_file(top))).resolve()
            if path.exists() and path.suffix != ".pth":
                paths.add(path)
    return sorted(paths)


def interpreter_paths() -> list[Path]:
    """The interpreter as a sandbox mounts it: its binary, libpython if it has one, its extension modules.

    Their bytes hold the docstrings of C modules (some equal those of a Python twin: heapq, datetime, bisect)
    and of the modules frozen into the binary (os, site, codecs, io, abc, posixpath, importlib, runpy, ...): a
    scan for prose that a sandbox can read must search them too.
    """
    binary = Path(os.path.realpath(sys.executable))
    folder, name = sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME")
    shared = [Path(folder) / name] if folder and name and ".so" in name else []
    dynload = Path(sysconfig.get_config_var("DESTSHARED") or "lib-dynload")
    return [path for path in (binary, *shared, *sorted(dynload.glob("*.so"))) if path.exists()]
