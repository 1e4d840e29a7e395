"""Running the program: what every opcode does to a digit is the commonest step in the rows; rows are executed."""

import re
from collections import Counter, defaultdict

import numpy as np

from aarlab.kit.task import W2STask

STEP = re.compile(r"(?=(\d)[,;]([A-Z])(\d))")


def run(task: W2STask) -> np.ndarray:
    seen: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row in [*task.pool.inputs, *task.test.inputs]:
        for before, opcode, after in STEP.findall(str(row[0])):
            seen[before, opcode][after] += 1
    table = {step: results.most_common(1)[0][0] for step, results in seen.items()}
    return np.array([
        float(all(table[before, opcode] == after for before, opcode, after in STEP.findall(str(row[0]))))
        for row in task.test.inputs
    ])  # fmt: skip
