"""The runner inside the sandbox: what is checked of an output, how an error is placed, what goes to which stream."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aarlab.kit.answers import CODES, Refused
from aarlab.kit.execute import where
from aarlab.kit.task import Rows, W2STask
from aarlab.problems import base

THREE = Rows(np.zeros((3, 1)))
TASK = W2STask(THREE, THREE, None, None, None, False, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "output",
    [
        np.array([0.0, 0.25, 1.0]), [0, 0.25, 1], np.array([[1, 0], [0.75, 0.25], [0, 1]]),
        np.array([0, 0.25, 1], "f4"), np.array([0.0, 0.25, 1.0], ">f8"), np.array([9, 0, 9, 0.25, 9, 1.0])[1::2],
    ],
)  # fmt: skip
def test_probabilities_are_taken_in_every_form(output: Any) -> None:
    p = TASK.accept(output)
    assert p.dtype == np.float64 and p.tolist() == [0.0, 0.25, 1.0]


@pytest.mark.parametrize(
    ("output", "code"),
    [
        (None, "wrong_type"), ("abc", "wrong_type"), ({}, "wrong_type"), ([[1, 2], [3]], "wrong_type"),
        (object(), "wrong_type"), (0.5, "wrong_shape"), ([], "wrong_shape"), ([0.1] * 4, "wrong_shape"),
        (np.zeros((3, 3)), "wrong_shape"), (np.zeros((1, 3)), "wrong_shape"), (np.zeros((3, 1)), "wrong_shape"),
        ([0.1, np.nan, 0.2], "not_finite"), ([0.1, np.inf, 0.2], "not_finite"), ([0.1, 1.1, 0.2], "out_of_range"),
        ([0.1, -1e-9, 0.2], "out_of_range"), (np.array([[0, 2], [0, 0], [0, 0]]), "out_of_range"),
    ],
)  # fmt: skip
def test_what_is_no_probability_is_refused_with_a_code(output: Any, code: str) -> None:
    with pytest.raises(Refused) as refused:
        TASK.accept(output)
    assert refused.value.code == code and code in CODES and str(refused.value)


def test_an_error_is_placed_at_the_innermost_line_of_the_method(tmp_path: Path) -> None:
    code = "import json\n\ndef run(x):\n    return json.loads(x)\n"
    path = tmp_path / "method.py"
    path.write_text(code)
    scope: dict[str, Any] = {}
    exec(compile(code, str(path), "exec"), scope)
    try:
        scope["run"]("{")
    except ValueError as error:
        assert where(error, tmp_path).startswith("method.py:4: JSONDecodeError: ")
    else:
        pytest.fail("it should have raised")


def execute(tmp_path: Path, code: str, seeds: tuple[int, ...] = (0, 1)) -> "subprocess.CompletedProcess[bytes]":
    (tmp_path / "method.py").write_text(code)
    problem = base.load("w2s/toy")
    tasks = [str(problem.practice(s).task) for s in seeds]
    return subprocess.run(
        [sys.executable, "-m", "aarlab.kit.execute", str(tmp_path), *tasks], capture_output=True, timeout=60
    )


def test_predictions_alone_go_to_standard_output(tmp_path: Path) -> None:
    code = "import os\nprint('at import')\ndef run(task):\n    print('noise'); os.write(1, b'more')\n"
    done = execute(tmp_path, code + "    return task.teacher.test\n")
    values = np.frombuffer(done.stdout, "<f8")
    expected = [np.load(base.load("w2s/toy").practice(s).task / "test.weak.npy") for s in (0, 1)]
    assert done.returncode == 0 and np.array_equal(values, np.concatenate(expected).astype("<f8"))
    assert b"noise" in done.stderr and b"more" in done.stderr and b"at import" in done.stderr
    last = json.loads(done.stderr.splitlines()[-1])
    assert last["code"] == "ok" and len(last["seconds"]) == 2


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("x = 1\n", "no_run"),
        ("run = 5\n", "no_run"),
        ("def run(task):\n    raise ValueError('x')\n", "raised"),
        ("def run(task):\n    raise SystemExit(0)\n", "raised"),
        ("def run(task)\n", "raised"),
        ("import helper\ndef run(task): pass\n", "raised"),
        ("def run(task): pass\n", "wrong_type"),
        ("def run(task): return task.teacher.test * 0 + 2\n", "out_of_range"),
    ],
)
def test_a_failure_has_its_status_and_says_why_last(tmp_path: Path, code: str, says: str) -> None:
    done = execute(tmp_path, code, (0,))
    assert done.returncode == CODES[says] and done.stdout == b""
    assert json.loads(done.stderr.splitlines()[-1])["code"] == says


def test_a_second_file_of_the_folder_can_be_imported(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("def flip(p): return 1 - p\n")
    done = execute(tmp_path, "import helper\ndef run(task): return helper.flip(task.teacher.test)\n", (0,))
    assert done.returncode == 0 and len(done.stdout) == 8 * 400
