"""Without walls (kind "none"): the same limits and the same answers, and no isolation at all."""

import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from aarlab.sandbox import bwrap, probe, process
from aarlab.sandbox.box import Box, SandboxRefused
from aarlab.sandbox.process import run, start

from .conftest import LIMITS, python

NONE = Box("none")


def test_the_same_paths_through_path(tmp_path: Path) -> None:
    task, workspace = tmp_path / "task", tmp_path / "workspace"
    task.mkdir(), workspace.mkdir()
    (task / "x").write_text("rows")
    mapping = {"/task/0": task}
    for box in (
        Box("none", mapping, {"/workspace": workspace}),
        Box("bwrap", mapping, {"/workspace": workspace}),
    ):
        name = box.path("/task/0/x")
        assert name == (str(task / "x") if box.kind == "none" else "/task/0/x") == box.inside(task / "x")
    box = Box("none", mapping, {"/workspace": workspace})
    code = "import sys; open('note', 'w').write(open(sys.argv[1]).read())"
    assert run(box, [box.python, "-c", code, box.path("/task/0/x")], LIMITS).code == "ok"
    assert (workspace / "note").read_text() == "rows"


def test_the_kit_imports() -> None:
    assert (
        python("import aarlab.kit.stats, os; print(os.environ['OMP_NUM_THREADS'])", box=NONE).stdout == b"1\n"
    )


def test_private_home_is_removed() -> None:
    finished = python(
        "import os; open(os.environ['TMPDIR'] + '/x', 'w'); print(os.environ['HOME'], os.getcwd())", box=NONE
    )
    home, cwd = finished.stdout.decode().split()
    assert home == cwd and "aarlab-" in home and not Path(home).exists()


@pytest.mark.parametrize(
    ("code", "limit", "wanted"),
    [
        ("import time; time.sleep(20)", {"wall_seconds": 0.5}, "time"),
        ("while True: pass", {"cpu_seconds": 1}, "cpu"),
        ("x = bytearray(2 * 10**9)", {}, "memory"),
        ("print('x' * 2**21)", {}, "output"),
        ("raise SystemExit(2)", {}, "crashed"),
        ("for i in range(200): open(str(i), 'w')", {}, "workspace"),
        ("print('fine')", {}, "ok"),
    ],
)
def test_limits(code: str, limit: dict[str, float], wanted: str, workspace: Path) -> None:
    box = Box("none", writable={"/workspace": workspace})
    assert python(code, replace(LIMITS, **limit), box).code == wanted  # type: ignore[arg-type]


def test_a_tree_is_killed(tmp_path: Path) -> None:
    code = f"""
import os, time
if os.fork() == 0:
    time.sleep(2); open({str(tmp_path / "late")!r}, "w")
time.sleep(20)
"""
    running = start(NONE, [sys.executable, "-c", code], LIMITS)
    time.sleep(0.3)
    assert running.kill().code == "stopped"
    time.sleep(2.2)
    assert not (tmp_path / "late").exists()


def test_it_is_not_isolated(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("label")
    assert python(f"print(open({str(tmp_path / 'secret')!r}).read())", box=NONE).stdout == b"label\n"
    result = probe.probe("none")
    assert result.isolated is False and result.startup_cpu_seconds > 0


def test_no_bubblewrap_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bwrap.shutil, "which", lambda _: None)
    with pytest.raises(SandboxRefused, match=r"apt install bubblewrap.*SANDBOX=none"):
        probe.probe("bwrap")


def test_no_linux_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe.platform, "system", lambda: "Darwin")
    with pytest.raises(SandboxRefused, match=r"need Linux.*SANDBOX=none"):
        probe.probe("bwrap")


@pytest.mark.parametrize(
    ("message", "setting", "advice"),
    [
        (
            "bwrap: setting up uid map: Permission denied",
            "kernel/apparmor_restrict_unprivileged_userns=1",
            "AppArmor",
        ),
        (
            "bwrap: No permissions to create new namespace",
            "kernel/unprivileged_userns_clone=0",
            "userns_clone=1",
        ),
        ("bwrap: Creating new namespace failed", "user/max_user_namespaces=0", "max_user_namespaces=10000"),
        ("bwrap: Creating new namespace failed: Operation not permitted", "x=y", "seccomp=unconfined"),
        ("bwrap: Unknown option --size", "x=y", "0.8 or newer"),
    ],
)
def test_refusals_say_what_to_do(
    message: str, setting: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, value = setting.split("=")
    monkeypatch.setattr(bwrap, "_setting", lambda asked: value if asked == name else "")
    text = bwrap.why(message)
    assert advice in text and "SANDBOX=none" in text and "\n" not in text


def test_a_refusal_of_bwrap_itself_is_raised(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setattr(bwrap.shutil, "which", lambda _: str(fake))
    with pytest.raises(SandboxRefused, match="No permissions"):
        run(Box(), [Box().python, "-c", "pass"], LIMITS)


def test_limits_of_a_process_never_exceed_what_was_asked() -> None:
    asked = process.rlimits(LIMITS, processes=True)
    assert asked["RLIMIT_DATA"] == (512 * 2**20,) * 2 and asked["RLIMIT_CPU"] == (21, 22)
    assert "RLIMIT_NPROC" not in process.rlimits(LIMITS, processes=False)
