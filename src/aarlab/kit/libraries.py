"""Which third-party libraries a method can import, and where they lie: what a sandbox mounts of site-packages."""

from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOTS = ("numpy", "scipy", "scikit-learn", "torch", "safetensors", "optuna")


class LibraryMissing(RuntimeError):
    """A library that methods are promised is not installed; the message says which and how to install it."""


def distributions() -> list[Distribution]:
    """ROOTS and all that they require here, transitively (environment markers respected, no extras), by name.

    Raises LibraryMissing if one of ROOTS is absent. A missing transitive requirement is left out: if the library
    that wants it works without it here, it works without it in the sandbox.
    """
    found: dict[str, Distribution] = {}
    wanted = [(name, True) for name in ROOTS]
    while wanted:
        name, root = wanted.pop()
        key = canonicalize_name(name)
        if key in found:
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
    """Absolute paths, sorted, of the top-level entries of site-packages that a sandbox mounts: packages, modules,
    *.libs directories and dist-info of `distributions()`. No scripts, no *.pth, no bytecode directories."""
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
