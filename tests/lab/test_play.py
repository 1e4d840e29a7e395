"""How a problem lets a method answer: entries, several asks of one run, and what they share."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aarlab.lab import execution
from aarlab.lab.execution import Run, execute
from aarlab.lab.snapshots import BadMethod, validate
from aarlab.problems import base
from aarlab.problems.base import Ask, Instance

TWICE = base.load("toy/twice")
CARD = 'name = "a"\n'
TURN = "import json, time\nimport numpy as np\n\n\ndef turn(task):\n"
TURN += "    return json.loads((task.student.folder / 'task.json').read_text())['turn']\n\n\n"


@pytest.fixture
def play(tmp_path: Path, walls: None) -> Callable[..., Run]:
    """play(code, wall=20, problem=TWICE) -> the run of that method.py on two public instances."""

    def run(code: str, wall: float = 20.0, problem: Any = TWICE) -> Run:
        (tmp_path / "method.py").write_text(code)
        return execute(problem, tmp_path, [problem.practice(s) for s in (0, 1)], "bwrap", wall)

    return run


def test_a_method_is_asked_again_in_another_sandbox(play: Callable[..., Run]) -> None:
    """The first answer comes back as the problem brings it, and nothing else does."""
    left = "    open('/tmp/left', 'a').write('x')\n    left = len(open('/tmp/left').read()) - 1\n"
    done = play(TURN + f"def guess(task):\n{left}    print('here')\n    return task.teacher.test / 2 * (1 - left / 4)\n")
    assert done.code == "ok"
    for output, seed in zip(done.outputs, (0, 1), strict=True):
        weak = np.load(TWICE.practice(seed).task / "test.weak.npy").astype(float)
        # Instances of one ask share a sandbox, so the second finds what the first left; the asks share nothing.
        np.testing.assert_allclose(output, weak / 4 * (1 - seed / 4) ** 2, rtol=1e-6)
    assert done.text.count(b"here") == 4 and done.text.count(b'"code": "ok"') == 2
    once = play("def run(task):\n    return task.teacher.test\n", problem=base.load("w2s/toy"))
    assert done.seconds > once.seconds and done.cpu_seconds > once.cpu_seconds


@pytest.mark.parametrize("name", ["guess", "run"])
def test_the_method_says_which_entry_it_is(play: Callable[..., Run], name: str) -> None:
    assert play(f"def {name}(task):\n    return task.teacher.test\n").code == "ok"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def solve(task): pass\n", "none of them"),
        ("def guess(task): pass\ndef run(task): pass\n", "both guess and run"),
        ("guess = run = None\n", "none of them"),
        ("class A:\n    def guess(self): pass\n", "none of them"),
    ],
)
def test_not_exactly_one_entry_is_no_run(play: Callable[..., Run], code: str, said: str) -> None:
    done = play(code)
    assert done.code == "no_run" and done.outputs == () and said in done.message
    assert "`guess(task)`, `run(task)`" in done.message
    with pytest.raises(BadMethod, match=said):
        validate({"method.py": code, "card.toml": CARD}, TWICE.entries)


def test_an_entry_may_be_defined_again() -> None:
    code = "def run(task): return 1\n\n\ngood = run\n\n\ndef run(task): return good(task)\n"
    validate({"method.py": code, "card.toml": CARD}, TWICE.entries)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("if turn(task) == 1: raise ValueError('late')", "raised"),
        ("if turn(task) == 1: return None", "wrong_type"),
        ("if turn(task) == 1: return task.teacher.test[1:]", "wrong_shape"),
        ("if turn(task) == 1: return task.teacher.test + 9", "out_of_range"),
        ("if turn(task) == 1: raise MemoryError", "raised|memory"),
    ],
)
def test_a_failure_of_a_later_ask_is_the_runs(play: Callable[..., Run], body: str, code: str) -> None:
    done = play(f"{TURN}def guess(task):\n    {body}\n    return task.teacher.test\n")
    assert done.code in code.split("|") and done.outputs == () and done.message


def test_limits_are_over_all_asks(play: Callable[..., Run]) -> None:
    """Either ask alone, of two instances, is within the limit; both together are not."""
    done = play("import time\n\n\ndef guess(task):\n    time.sleep(1.3)\n    return task.teacher.test\n", wall=4.5)
    assert done.code == "time" and b'"code": "ok"' in done.text


def test_cpu_time_is_shared_too(play: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    real = execution.limits
    monkeypatch.setattr(execution, "limits", lambda wall, size: replace(real(wall, size), cpu_seconds=4.0))
    spin = "    end = time.process_time() + 1.2\n    while time.process_time() < end:\n        pass\n"
    done = play(f"import time\n\n\ndef guess(task):\n{spin}    return task.teacher.test\n", wall=40)
    assert done.code == "cpu" and b'"code": "ok"' in done.text and done.cpu_seconds > 4


def test_what_a_problem_makes_of_the_answers_is_checked(play: Callable[..., Run]) -> None:
    class Wrong(type(TWICE)):  # type: ignore[misc]
        def play(self, instances: Sequence[Instance], ask: Ask) -> Sequence[np.ndarray]:
            return [o + 1 for o in super().play(instances, ask)]

    assert play("def run(task):\n    return task.teacher.test\n", problem=Wrong(TWICE.testbed)).code == "out_of_range"
