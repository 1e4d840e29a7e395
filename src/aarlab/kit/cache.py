"""Where derived files live, and how they are made whole or not at all; where the lab's own lie."""

import fcntl
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_dir() -> Path:
    """$AARLAB_CACHE, or ~/.cache/aarlab. Everything in it can be deleted and is made again when needed."""
    return Path(os.environ.get("AARLAB_CACHE") or Path.home() / ".cache" / "aarlab").absolute()


def home_dir() -> Path:
    """The lab's folder, which nobody deletes: $AARLAB_HOME, or aarlab in $XDG_DATA_HOME or ~/.local/share."""
    if own := os.environ.get("AARLAB_HOME"):
        return Path(own).absolute()
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share").absolute() / "aarlab"


def built(folder: Path, build: Callable[[Path], None]) -> Path:
    """Return `folder`, building it first if it is not there. Built beside and renamed, so it is never half there;
    two processes may build at once, and the first to finish wins."""
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        build(draft)
        draft.chmod(0o755)
        try:
            draft.rename(folder)
        except OSError:
            if not folder.exists():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder that is to be built, there or not: one process builds what takes long, or what may not
    be swapped under its users, and the others wait. The kernel lets go of it if this process dies."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def write_whole(path: Path, data: str | bytes) -> None:
    """Write a file whole or not at all, in a folder that is made if it is not there. Of two who write at once the last
    one stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_native_id()}")
    try:
        draft.write_bytes(data.encode() if isinstance(data, str) else data)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
