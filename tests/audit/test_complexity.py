"""Complexity counts what is there, and nothing that is only there to be read."""

from aarlab.audit.complexity import complexity
from aarlab.kit import zoo

CODE = '''"""A docstring
of two lines."""
import numpy as np
from aarlab.kit.blocks import knn  # a comment

K = 7


def run(task):
    """Another."""
    x = [
        3.5,
        1,
    ]
    if K > 2:
        x = [v for v in x if v]

    return np.full(len(task.test), 0.5)
'''


def test_what_is_counted() -> None:
    found = complexity({"method.py": CODE, "card.toml": 'name = "7 8 9"'})
    assert found["verdict"] == "informs"
    assert found["lines"] == 11  # two imports, K, def, four of the list, if, the assignment, return
    assert found["tunable"] == 2  # 7 and 3.5
    assert found["branches"] == 2
    assert found["functions"] == 1
    assert found["imports"] == ["aarlab.kit.blocks", "numpy"]


def test_prose_layout_and_comments_change_nothing() -> None:
    plain = complexity({"method.py": CODE})
    chatty = CODE.replace("Another.", "Another, longer.\n\n    Much longer.").replace("K = 7", "K = 7  # seven\n\n\n")
    assert complexity({"method.py": chatty}) == plain


def test_more_is_more() -> None:
    short = complexity({"method.py": zoo.source(zoo.BASELINES["naive_soft"])})
    long = complexity({"method.py": zoo.source(zoo.BASELINES["logconf"])})
    assert short["nodes"] < long["nodes"] and short["tunable"] == long["tunable"] == 0
    both = complexity({"method.py": CODE, "helper.py": CODE})
    assert both["nodes"] == 2 * complexity({"method.py": CODE})["nodes"]


def test_no_program_has_no_value() -> None:
    assert complexity({"method.py": "def run(:"})["value"] is None
