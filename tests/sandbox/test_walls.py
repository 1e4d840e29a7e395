"""What a sandbox sees, reaches and can change: what it was given, and nothing else."""

import os
import socket
import sys
import threading
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest

from aarlab.kit import libraries
from aarlab.kit.cache import cache_dir
from aarlab.sandbox import bwrap, mounts, probe
from aarlab.sandbox.box import Box, SandboxRefused

from .conftest import python

pytestmark = pytest.mark.usefixtures("walls")

EXISTS = "import os, sys; print([p for p in {!r} if os.path.lexists(p)])"


def seen(*paths: str | Path, box: Box | None = None) -> list[str]:
    finished = python(EXISTS.format([str(path) for path in paths]), box=box)
    assert finished.code == "ok", finished.stderr_tail
    return list(eval(finished.stdout))


@pytest.mark.parametrize(
    "module",
    ["numpy", "scipy.stats", "sklearn.linear_model, sklearn.datasets", "torch, safetensors.torch", "optuna",
     "aarlab.kit.task", "sqlite3, ssl, ctypes, lzma, hashlib, asyncio, multiprocessing, unittest"],
)  # fmt: skip
def test_libraries_import(module: str) -> None:
    finished = python(f"import {module}")
    assert finished.code == "ok", finished.stderr_tail.decode()
    assert finished.stderr_tail == b""


def test_a_model_trains() -> None:
    code = """
import optuna, torch
from sklearn.linear_model import LogisticRegression
x = torch.randn(64, 4); y = (x[:, 0] > 0).long()
layer = torch.nn.Linear(4, 2); torch.nn.functional.cross_entropy(layer(x), y).backward()
assert torch.get_num_threads() == 1
assert LogisticRegression().fit(x.numpy(), y.numpy()).score(x.numpy(), y.numpy()) > .9
optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.create_study(); study.optimize(lambda t: t.suggest_float("a", 0, 1), n_trials=3)
print("trained")
"""
    finished = python(code)
    assert finished.stdout == b"trained\n", finished.stderr_tail.decode()


def test_no_room_of_the_house_but_the_kit() -> None:
    assert python("import aarlab.kit").code == "ok"
    for room in ("problems", "sandbox", "lab", "cli"):
        assert python(f"import aarlab.{room}").code == "crashed"
    listing = python("import aarlab, os; print(sorted(os.listdir(aarlab.__path__[0])))").stdout
    assert listing == b"['__init__.py', 'kit']\n"


def test_no_other_library() -> None:
    assert distribution("pytest")  # it is there outside
    assert python("import pytest").code == "crashed"
    listing = python(f"import os; print(os.listdir({mounts.SITE!r}))").stdout.decode()
    assert "numpy" in listing and ".pth" not in listing and "setuptools" not in listing


def test_digits_are_masked() -> None:
    data = Path(str(distribution("scikit-learn").locate_file("sklearn/datasets/data")))
    assert (data / "digits.csv.gz").exists()
    assert (
        python("import os, sklearn.datasets as d; print(os.listdir(d.__path__[0] + '/data'))").stdout
        == b"[]\n"
    )
    finished = python("from sklearn.datasets import load_digits; load_digits()")
    assert finished.code == "crashed" and b"FileNotFoundError" in finished.stderr_tail
    code = "import os; print([f for _, _, fs in os.walk('/python') for f in fs if 'digits.csv' in f])"
    assert python(code).stdout == b"[]\n"


def test_home_repository_and_system_are_not_there() -> None:
    hidden = [Path.home(), Path(__file__), mounts.PACKAGE, cache_dir(), sys.prefix]
    hidden += [Path(f"/{name}") for name in ("etc", "root", "home", "var", "run", "bin", "usr", "sys/fs")]
    assert seen(*hidden) == []
    assert seen(mounts.PYTHON) == [mounts.PYTHON]


def test_root_holds_what_was_asked_for(tmp_path: Path) -> None:
    task, method = tmp_path / "task", tmp_path / "method"
    task.mkdir(), method.mkdir()
    box = Box(read_only={"/task/0": task, "/task/1": task, "/method": method})
    listing = python("import os; print(sorted(os.listdir('/')), sorted(os.listdir('/task')))", box=box).stdout
    assert (
        listing == b"['dev', 'lib', 'lib64', 'method', 'proc', 'python', 'sys', 'task', 'tmp'] ['0', '1']\n"
    )


def test_sealed_run_writes_only_to_its_tmp(tmp_path: Path) -> None:
    code = """
import os
done = []
for folder, _, _ in os.walk("/"):
    if folder.startswith(("/proc/", "/sys/")) or folder.count("/") > 6:
        continue
    try:
        open(folder + "/written", "w").write("x"); done.append(folder)
    except OSError:
        pass
print(done)
"""
    assert python(code, box=Box(read_only={"/task/0": tmp_path})).stdout == b"['/tmp']\n"
    assert not (tmp_path / "written").exists()
    assert (
        python(code, box=Box(writable={"/workspace": tmp_path})).stdout == b"['/workspace', '/tmp']\n"
        or (tmp_path / "written").exists()
    )


def test_read_only_and_writable(tmp_path: Path) -> None:
    (tmp_path / "method").mkdir()
    (tmp_path / "method" / "method.py").write_text("x = 1\n")
    (tmp_path / "workspace").mkdir()
    box = Box(read_only={"/method": tmp_path / "method"}, writable={"/workspace": tmp_path / "workspace"})
    assert python("print(open('/method/method.py').read())", box=box).stdout == b"x = 1\n\n"
    assert b"Read-only" in python("open('/method/method.py', 'a')", box=box).stderr_tail
    assert python("import os; open('note', 'w').write(os.getcwd())", box=box).code == "ok"
    assert (tmp_path / "workspace" / "note").read_text() == "/workspace"
    assert box.inside(tmp_path / "method" / "method.py") == "/method/method.py"
    with pytest.raises(ValueError, match="not mounted"):
        box.inside(Path("/etc/passwd"))


def test_findings_appear_while_it_runs(tmp_path: Path) -> None:
    code = """
import os, time
until = time.monotonic() + 10
while not os.path.exists("/findings/1.md") and time.monotonic() < until: time.sleep(.02)
print(open("/findings/1.md").read())
"""
    timer = threading.Timer(0.3, lambda: (tmp_path / "1.md").write_text("news"))
    timer.start()
    assert python(code, box=Box(read_only={"/findings": tmp_path})).stdout == b"news\n"


def test_links_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("label")
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    (workspace / "near").symlink_to(tmp_path / "secret")
    (workspace / "up").symlink_to("../secret")
    (workspace / "passwd").symlink_to("/etc/passwd")
    assert (workspace / "near").read_text() == "label"  # outside it leads there
    code = """
import os
for path in ("near", "up", "passwd", "../secret", "/proc/1/root/etc/passwd", "/proc/self/root/etc/passwd",
             "/proc/1/cwd/../secret"):
    try: print(path, open(path).read())
    except OSError as error: pass
print("end")
"""
    assert python(code, box=Box(writable={"/workspace": workspace})).stdout == b"end\n"


def test_no_network_but_the_lab_s_socket(tmp_path: Path) -> None:
    folder = Path(os.path.realpath(tmp_path)) / "s"
    folder.mkdir()
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as unix,
        socket.socket(socket.AF_UNIX) as abstract,
    ):
        unix.bind(str(folder / "lab.sock"))
        unix.listen()
        abstract.bind("\0aarlab-test")
        abstract.listen()
        code = f"""
import socket
def reaches(family, address):
    try:
        with socket.socket(family) as s: s.settimeout(2); s.connect(address)
        return True
    except OSError: return False
print([reaches(*a) for a in (
    (socket.AF_INET, ("127.0.0.1", {tcp.getsockname()[1]})), (socket.AF_INET, ("192.0.2.1", 80)),
    (socket.AF_UNIX, "\\0aarlab-test"), (socket.AF_UNIX, "/lab.sock"))])
"""
        assert python(code, box=Box(read_only={"/lab.sock": folder / "lab.sock"})).stdout == (
            b"[False, False, False, True]\n"
        )
        assert python(code).stdout == b"[False, False, False, False]\n"
        everywhere = python(code, box=Box("none", env={"SOCKET": str(folder)}))
        assert everywhere.stdout == b"[True, False, True, False]\n"  # control: without walls it is reached


def test_own_processes_no_powers(tmp_path: Path) -> None:
    code = """
import ctypes, os
libc = ctypes.CDLL(None)
print(os.getuid(), os.getgid(), len([p for p in os.listdir("/proc") if p.isdigit()]),
      libc.unshare(0x10000000), libc.mount(b"none", b"/tmp", b"tmpfs", 0, None), os.uname().nodename)
"""
    assert python(code).stdout == b"65534 65534 2 -1 -1 sandbox\n"


def test_environment_is_not_the_lab_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_SECRET", "x")
    code = """
import glob, os
read = [open(file, "rb").read() for file in glob.glob("/proc/*/environ")]
print("LAB_SECRET" in os.environ, any(b"LAB_SECRET" in text for text in read))
"""
    assert python(code).stdout == b"False False\n"
    assert python(
        "import os; print(os.environ['A'], os.environ['OMP_NUM_THREADS'])", box=Box(env={"A": "b"})
    ).stdout == (b"b 1\n")


def test_file_descriptors_are_not_inherited() -> None:
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    try:
        assert (
            python("import os; print(sorted(map(int, os.listdir('/proc/self/fd')))[:3])").stdout
            == b"[0, 1, 2]\n"
        )
        assert python(f"import os; os.fstat({writer})").code == "crashed"
    finally:
        os.close(reader), os.close(writer)


@pytest.mark.parametrize("inside", ["relative", "/", "/python/x", "/tmp/x", "/proc", "/a/../b", "/lib/x"])
def test_mounts_that_would_break_walls_are_refused(inside: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mount point"):
        python("pass", box=Box(read_only={inside: tmp_path}))


def test_pth_files_do_not_run() -> None:
    assert not [
        name for name in os.listdir(mounts.base().folder / mounts.SITE.lstrip("/")) if name.endswith(".pth")
    ]
    flags = mounts.base().flags()
    assert not [flag for flag in flags if flag.endswith(".pth")]
    bound = {Path(flag) for flag in flags if flag.startswith("/") and "site-packages" in flag}
    assert {
        path.resolve() for path in libraries.mounted_paths() if path.is_dir() and path.suffix != ".dist-info"
    } <= bound


def test_probe_passes_here_and_measures() -> None:
    result = probe.probe("bwrap")
    assert result.isolated
    assert 0.001 < result.startup_cpu_seconds < 1
    assert result.startup_wall_seconds < 5


@pytest.mark.parametrize(
    ("without", "hole"),
    [("--unshare-all", "network"), ("--cap-drop ALL", "capabilities"), ("--disable-userns", "capabilities")],
)
def test_probe_sees_a_missing_wall(without: str, hole: str, monkeypatch: pytest.MonkeyPatch) -> None:
    walls = " ".join(bwrap.WALLS).replace(without, "")
    if without == "--cap-drop ALL":
        walls = walls.replace("--disable-userns", "") + " --cap-add ALL"
    monkeypatch.setattr(bwrap, "WALLS", walls.split())
    if without == "--unshare-all":
        monkeypatch.setattr(bwrap, "WALLS", [*walls.split(), "--unshare-pid", "--unshare-uts"])
    with pytest.raises(SandboxRefused, match=hole):
        probe.probe("bwrap")


def test_probe_sees_a_mount_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = mounts.base().flags()
    monkeypatch.setattr(mounts.Base, "flags", lambda _: [*flags, "--ro-bind", "/etc", "/etc"])
    with pytest.raises(SandboxRefused, match="/etc/passwd"):
        probe.probe("bwrap")


def test_kernel_settings_cannot_be_written() -> None:
    code = """
import os
paths = [f"{folder}/{name}" for folder, _, names in os.walk("/proc/sys") for name in names]
opened = []
for path in [*paths, "/proc/sysrq-trigger", "/proc/mtrr", "/proc/self/oom_score_adj"]:
    try: open(path, "r+b").close(); opened.append(path)
    except OSError: pass
print(len(paths) > 100, opened)
"""
    assert python(code).stdout == b"True []\n"


def test_probe_sees_writable_kernel_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    if os.getuid() != 0:
        pytest.skip("only a sandbox that root starts could write them")
    command = bwrap.command

    def leaky(*arguments: Any) -> list[str]:
        line = command(*arguments)
        at = line.index("/proc", line.index("--remount-ro"))
        return line[: at - 1] + line[at + 1 :]

    monkeypatch.setattr(bwrap, "command", leaky)
    with pytest.raises(SandboxRefused, match="core_pattern"):
        probe.probe("bwrap")
