"""What a sandbox mounts of site-packages."""

from importlib.metadata import PackageNotFoundError

import pytest

from aarlab.kit import libraries


def test_roots_and_what_they_require() -> None:
    names = {path.name for path in libraries.mounted_paths()}
    assert {"numpy", "scipy", "sklearn", "torch", "safetensors", "optuna"} <= names
    assert {"joblib", "threadpoolctl.py", "sqlalchemy", "typing_extensions.py"} <= names  # transitive


def test_nothing_else() -> None:
    paths = libraries.mounted_paths()
    names = {path.name for path in paths}
    assert not names & {"aarlab", "pytest", "mypy", "hypothesis", "plotly", "pip", "__pycache__", "bin"}
    assert not [path for path in paths if path.suffix == ".pth"]
    assert all(path.is_absolute() and path.exists() for path in paths)


def test_a_missing_library_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(libraries, "distribution", absent)
    with pytest.raises(libraries.LibraryMissing, match="pip install"):
        libraries.mounted_paths()


def test_the_interpreter_itself_holds_prose() -> None:
    paths = libraries.interpreter_paths()
    assert all(path.exists() for path in paths)
    held = b"".join(path.read_bytes() for path in paths)
    assert b"Push item onto heap, maintaining the heap invariant." in held  # C twin of heapq.py
    assert b"Given a list of pathnames, returns the longest common leading" in held  # frozen genericpath


def test_setuptools_and_its_copy_of_distutils_are_left_out() -> None:
    names = {path.name for path in libraries.mounted_paths()}
    assert not names & {"setuptools", "_distutils_hack", "pkg_resources"}
