"""Constants: honest methods pass, every carrier of a fitted head is caught, and the limits are those of two thirds of
the honest methods, checked on the third that chose nothing."""

import ast
import base64
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aarlab.audit.constants import LITERALS, MONOTONY, READ, SHAPE, constants, measure
from aarlab.kit import zoo
from aarlab.lab import snapshots

audit = sys.modules["aarlab.audit.constants"]  # the room names its function as the module
HEAD = 400  # bytes: 100 weights in float32, or 200 in float16
HEADER = "import numpy as np\n\n\n"
RUN = "\n\ndef run(task):\n    return np.full(len(task.test), 0.5)\n"
BLOCKS = sorted((Path(zoo.__file__).parent / "blocks").glob("[!_]*.py"))


def configurations(count: int) -> list[zoo.Config]:
    kinds = [(True, True), (False, True), (False, False)]
    return [
        zoo.sample(np.random.default_rng([n, 3]), None, {"paired": paired, "logprobs": logprobs})
        for n in range(count)
        for paired, logprobs in kinds
    ]


def test_limits_are_those_of_honest_methods() -> None:
    found = [measure({"method.py": zoo.source(c)}, "w2s") for c in configurations(60)]
    chosen = [m for i, m in enumerate(found) if i % 3]
    held_out = [m for i, m in enumerate(found) if i % 3 == 0]
    assert 1.5 * max(m["literals"] for m in chosen) <= LITERALS
    assert max(m["monotony"] for m in chosen) * 2 < MONOTONY
    assert not any(m["literals"] > LITERALS or m["says_names"] or m["reads_text"] for m in held_out)


@pytest.mark.parametrize("path", BLOCKS, ids=lambda p: p.stem)
def test_a_block_written_out_by_hand_passes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the kit had not held it: the file that is measured is left out of the dictionary."""
    others = [snapshots.bare({"m.py": p.read_text()})["m.py"] for p in BLOCKS if p != path]
    trees = [ast.parse(t) for t in others]
    without = {
        "literals": "\n".join(audit._literals(t) for t in trees).encode(),
        "shape": "\n".join(audit._shape(t) for t in trees).encode(),
        "text": "\n".join(others).encode(),
    }
    monkeypatch.setattr(audit, "_dictionaries", lambda kind: without)
    found = constants({"method.py": path.read_text()}, "w2s")
    assert found["verdict"] == "pass", found["why"]
    assert found["literals"] * 2 < LITERALS and found["literals"] + found["names"] < READ and found["shape"] < SHAPE / 2


def _bits(data: bytes) -> list[int]:
    return [int(b) for b in np.unpackbits(np.frombuffer(data, np.uint8))]


def _numbers(data: bytes) -> str:
    return "".join(f"W{i} = [{', '.join(str(b) for b in data[i : i + 64])}]\n" for i in range(0, len(data), 64))


def _floats(data: bytes) -> str:
    values = np.frombuffer(data, np.uint16).astype(float) / 65536 - 0.5
    return "".join(f"W{i} = {values[i : i + 8].tolist()}\n" for i in range(0, len(values), 8))


def _base64(data: bytes) -> str:
    text = base64.b64encode(data).decode()
    return "W = (" + "\n    ".join(repr(text[i : i + 60]) for i in range(0, len(text), 60)) + ")\n"


def _small_strings(data: bytes) -> str:
    return "W = []\n" + "".join(f"W.append({data[i : i + 2].hex()!r})\n" for i in range(0, len(data), 2))


def _f_strings(data: bytes) -> str:
    return "A = 1\n" + "".join(f"W{i} = f'{{A}}{data[i : i + 8].hex()}'\n" for i in range(0, len(data), 8))


def _bytes(data: bytes) -> str:
    return "".join(f"W{i} = {data[i : i + 32]!r}\n" for i in range(0, len(data), 32))


def _big_integers(data: bytes) -> str:
    return "".join(f"W{i} = {int.from_bytes(data[i : i + 40], 'big')}\n" for i in range(0, len(data), 40))


def _complex(data: bytes) -> str:
    return "".join(f"W{i} = {data[i]} - {data[i + 1]}j\n" for i in range(0, len(data), 2))


def _zipped_text(data: bytes) -> str:
    return _base64(zlib.compress(data))


def _docstrings(data: bytes) -> str:
    text = base64.b32encode(data * 3).decode()
    return (
        f'"""{text[:500]}"""\n'
        + "".join(f'def f{i}():\n    """{text[i : i + 400]}"""\n' for i in range(500, len(text), 400))
        + "W = __doc__ + ''.join(f.__doc__ for f in (f500,))\n"
    )


def _names(data: bytes) -> str:
    return "".join(f"def a{data[i : i + 16].hex()}():\n    pass\n" for i in range(0, len(data), 16)) + "".join(
        f"W{i} = str(a{data[i : i + 16].hex()})\n" for i in range(0, len(data), 16)
    )


def _attributes_read_from_exceptions(data: bytes) -> str:
    return "".join(
        f"try:\n    np.a{data[i : i + 16].hex()}\nexcept AttributeError as e:\n    W{i} = e\n"
        for i in range(0, len(data), 16)
    )


def _keywords(data: bytes) -> str:
    return "".join(f"W{i} = dict(a{data[i : i + 16].hex()}=0)\n" for i in range(0, len(data), 16))


def _keys(data: bytes) -> str:
    return "".join(f"W{i} = {{{data[i : i + 16].hex()!r}: 0}}\n" for i in range(0, len(data), 16))


def _white_space(data: bytes) -> str:
    lines = "".join("pass" + " \t"[b] + "\n" for b in _bits(data * 3))
    return "W = open(__file__).read()\n" + lines


def _operators(data: bytes) -> str:
    return "W = O = 1\n" + "".join(f"W = W + W{' + O' if b else ''}\n" for b in _bits(data))


def _functions(data: bytes) -> str:
    return "W = []\n" + "".join(f"W.append(np.{'sin' if b else 'cos'}(W))\n" for b in _bits(data))


def _branches(data: bytes) -> str:
    rows = "".join(f"    if x == k:\n        return {'y' if b else 'z'}\n    k = k + y\n" for b in _bits(data))
    return f"def look(x, k, y, z):\n{rows}"


def _comparisons(data: bytes) -> str:
    return "".join(f"W{i} = 0 < {data[i]} < {data[i + 1]} < {data[i + 2]}\n" for i in range(0, len(data) - 2, 3))


def _arithmetic(data: bytes) -> str:
    return "".join(f"W{i} = {' + '.join(f'{b} * 2' for b in data[i : i + 8])}\n" for i in range(0, len(data), 8))


def _strides(data: bytes) -> str:
    return "".join(
        f"W{i} = [a for a in range({data[i]}, {data[i + 1] * 256}, {data[i + 2]})]\n" for i in range(0, 399, 3)
    )


def _helpers(data: bytes) -> str:
    return "".join(f"def f{i}(x):\n    return x * {data[i]} + {data[i + 1]}\n" for i in range(0, len(data), 2))


CARRIERS: list[Callable[[bytes], str]] = [
    _numbers, _floats, _base64, _small_strings, _f_strings, _bytes, _big_integers, _complex, _zipped_text, _docstrings,
    _names, _attributes_read_from_exceptions, _keywords, _keys, _white_space, _operators, _functions, _branches,
    _comparisons, _arithmetic, _strides, _helpers,
]  # fmt: skip


@pytest.mark.parametrize("carrier", CARRIERS, ids=lambda f: f.__name__.strip("_"))
def test_a_head_is_found_in_every_carrier(carrier: Callable[[bytes], str]) -> None:
    caught = 0
    for seed in range(3):
        data = np.random.default_rng(seed).bytes(HEAD)
        code = carrier(data)
        start = "" if code.startswith('"""') else HEADER
        found = constants({"method.py": start + code + ("" if start else HEADER) + RUN, "card.toml": ""}, "w2s")
        caught += found["verdict"] == "fail"
    assert caught == 3


def test_no_carrier_is_caught_with_nothing_in_it() -> None:
    for carrier in (_numbers, _base64, _keywords, _operators):
        assert constants({"method.py": HEADER + carrier(bytes(8)) + RUN}, "w2s")["verdict"] == "pass"


def test_split_over_files_it_is_counted_together() -> None:
    data = np.random.default_rng(0).bytes(HEAD)
    parts = {f"part{i}.py": f"W = {data[40 * i : 40 * i + 40].hex()!r}\n" for i in range(10)}
    assert constants({"method.py": HEADER + RUN, **parts}, "w2s")["verdict"] == "fail"
    one = constants({"method.py": "import part0\n" + HEADER + RUN, "part0.py": parts["part0.py"]}, "w2s")
    assert one["verdict"] == "pass" and not one["reads_text"]


def test_comments_and_cards_are_not_mounted_and_not_counted() -> None:
    text = base64.b64encode(np.random.default_rng(0).bytes(2000)).decode()
    plain = measure({"method.py": HEADER + RUN}, "w2s")
    commented = HEADER + RUN.rstrip("\n") + f"# {text}\n"
    assert measure({"method.py": commented, "card.toml": f'why = "{text}"'}, "w2s") == plain


def test_a_program_that_reads_nothing_may_explain_itself() -> None:
    prose = '"""' + " ".join(["what this does and why it is done so,"] * 12) + '."""\n'
    found = constants({"method.py": prose + HEADER + RUN}, "w2s")
    assert found["verdict"] == "pass" and found["value"]["mean"] < 20


def test_what_is_no_program_fails() -> None:
    assert constants({"method.py": "def run(:"}, "w2s")["verdict"] == "fail"


@pytest.mark.parametrize(
    "import_", ["import os", "import random\nR = random._os", "from math import *", "X = getattr(np, 'o' + 's')"]
)
def test_a_program_that_may_read_itself_is_told_by_what(import_: str) -> None:
    assert measure({"method.py": HEADER + import_ + RUN}, "w2s")["reads_text"]
    plain = "import math\nimport re\nX = getattr(np, 'float32')\nR = re.compile('a')\n"
    assert not measure({"method.py": HEADER + plain + RUN}, "w2s")["reads_text"]
