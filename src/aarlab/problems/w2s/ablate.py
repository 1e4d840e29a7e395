"""Ablations of a weak-to-strong instance: what is taken away, and what is left in its place.

A method must not be able to tell, at a glance, what was taken from it: the arrays of the untrained student come in a
basis of their own and beside the twin of another student, and borrowed rows are genuine rows of the trained student.
Ablations compose; truth stays, but for a flag on borrowed rows.
"""

import json
import os
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aarlab.kit.cache import built
from aarlab.kit.lm import LMConfig, new_lm, save_lm
from aarlab.problems.base import Ablation, Instance
from aarlab.problems.w2s.testbed import Testbed

WEAK = (".weak.npy",)  # what the teacher says
FEWEST = 100  # borrowed rows of an instance: below, rows of other lengths are borrowed too
OF_THE_STUDENT = ("features", "twin.features", "logprobs", "twin.logprobs", "tokens")


@dataclass(frozen=True)
class Source:
    """Where an instance comes from: its testbed, the folder of its draw, the student's pretraining seed."""

    testbed: Testbed
    draw: Path
    student: int

    @property
    def stranger(self) -> int:
        """Another student's pretraining seed."""
        return next((s for s in self.testbed.students if s != self.student), self.student)

    def pool_index(self, instance: Instance) -> NDArray[np.int64]:
        """(n_pool,) which rows of the draw's pool the instance sees."""
        key = instance.key.split("/")
        name = "-".join(key[: 2 if key[0] == "practice" else 3])
        return np.load(self.draw.parent / f"{self.draw.name}.instances" / name / "pool.index.npy")  # type: ignore[no-any-return]


def ablations(source: Callable[[Instance], Source]) -> tuple[Ablation, ...]:
    """The ablations of a weak-to-strong testbed; `source` says where an instance comes from."""

    def untrained(instance: Instance, folder: Path, seed: int, share: float = 1.0) -> Instance:
        return untrain_student(source(instance), instance, folder, seed, share)

    def scrambled(instance: Instance, folder: Path, seed: int, share: float = 1.0) -> Instance:
        return scramble_mark(source(instance), instance, folder, seed, share)

    return (
        Ablation("permuted-teacher", "the teacher's probabilities, permuted over rows", permute_teacher, WEAK),
        Ablation("untrained-student", "an untrained student in the student's place", untrained),
        Ablation("scrambled-mark", "the shortcut's mark dealt anew over the test rows", scrambled, shared=True),
        Ablation("borrowed-rows", "test rows with what the student makes of other test rows", borrow_rows),
    )


def copy_task(instance: Instance, folder: Path) -> Path:
    task = folder / "task"
    task.mkdir(parents=True)
    for path in instance.task.iterdir():
        os.link(path, task / path.name)
    return task


def replace_file(path: Path, array: NDArray[Any]) -> None:
    path.unlink(missing_ok=True)  # the file may be a hard link into the instance that is being ablated
    np.save(path, array)


def permute_teacher(instance: Instance, folder: Path, seed: int, share: float = 1.0) -> Instance:
    """The teacher's labels and handle permuted over a share of the rows: confidences keep their distribution."""
    task, rng = copy_task(instance, folder), np.random.default_rng(seed)
    for part in ("pool", "test"):
        weak = np.load(instance.task / f"{part}.weak.npy")
        rows = np.flatnonzero(rng.random(len(weak)) < share)
        weak[rows] = weak[rng.permutation(rows)]
        replace_file(task / f"{part}.weak.npy", weak)
    return replace(instance, key=f"{instance.key}/permuted-teacher", task=task)


def untrain_student(source: Source, instance: Instance, folder: Path, seed: int, share: float = 1.0) -> Instance:
    """The untrained twin's features and log-probabilities in place of the student's, mixed by `share` and turned by a
    rotation of their own; in the twin's place another student's twin. Weights, which do not mix, are random from any
    share on."""
    task = copy_task(instance, folder)
    others = built(source.draw.with_name(f"{source.draw.name}.other-twin"), lambda made: _other_twin(source, made))
    rng = np.random.default_rng(seed)
    turn: NDArray[np.float32] | None = None
    for twin in sorted(instance.task.glob("*.twin.*.npy")):
        part, _, what, _ = twin.name.split(".")
        plain = task / f"{part}.{what}.npy"
        mixed = (1 - share) * np.load(plain).astype(np.float32) + share * np.load(twin).astype(np.float32)
        if what == "features":
            if turn is None:
                layers, width = mixed.shape[2:]
                turn = np.linalg.qr(rng.normal(size=(layers, width, width)))[0].astype(np.float32)
            mixed = np.einsum("nsld,lde->nsle", mixed, turn)
        replace_file(plain, mixed.astype(np.float16))
        other = np.load(others / twin.name, mmap_mode="r")
        replace_file(task / twin.name, other[source.pool_index(instance)] if part == "pool" else np.asarray(other))
    if (shape := task / "student.json").exists():
        known = json.loads(shape.read_text())
        config = LMConfig(**{k: known[k] for k in ("vocab", "length", "width", "layers", "heads")})
        (task / "student.safetensors").unlink()
        save_lm(new_lm(config, seed % 2**31), task / "student.safetensors")
    return replace(instance, key=f"{instance.key}/untrained-student", task=task)


def _other_twin(source: Source, made: Path) -> None:
    """Features and log-probabilities of another student's untrained twin on pool and test of a draw."""
    turn = np.load(source.draw / "turn.npy").astype(np.float32)
    for part in ("pool", "test"):
        inputs = np.load(source.draw / f"{part}.inputs.npy")
        encoded = source.testbed.encode(inputs, source.stranger, untrained=True)
        turned = np.einsum("nsld,lde->nsle", encoded.features.astype(np.float32), turn)
        np.save(made / f"{part}.twin.features.npy", turned.astype(np.float16))
        if encoded.logprobs is not None:
            np.save(made / f"{part}.twin.logprobs.npy", encoded.logprobs)


def scramble_mark(source: Source, instance: Instance, folder: Path, seed: int, share: float = 1.0) -> Instance:
    """The mark dealt anew over the test rows, and what the student makes of them; the teacher does not read it.

    Raises ValueError where the testbed plants none.
    """

    def write(made: Path) -> None:
        rng = np.random.default_rng([seed, round(1000 * share)])
        inputs = np.load(source.draw / "test.inputs.npy")
        dealt = source.testbed.scramble(inputs, rng)
        chosen = rng.random(len(inputs)) < share
        inputs = np.where(chosen.reshape(-1, *[1] * (inputs.ndim - 1)), dealt, inputs)
        np.save(made / "test.inputs.npy", inputs)
        turn = np.load(source.draw / "turn.npy").astype(np.float32)
        for twin, untrained in (("", False), ("twin.", True)):
            encoded = source.testbed.encode(inputs, source.student, untrained=untrained)
            turned = np.einsum("nsld,lde->nsle", encoded.features.astype(np.float32), turn)
            np.save(made / f"test.{twin}features.npy", turned.astype(np.float16))
            if encoded.logprobs is not None:
                np.save(made / f"test.{twin}logprobs.npy", encoded.logprobs)
            if encoded.tokens is not None and not untrained:
                np.save(made / "test.tokens.npy", encoded.tokens)

    made = built(source.draw.with_name(f"{source.draw.name}.scrambled") / f"{seed}-{share:g}", write)
    task = copy_task(instance, folder)
    for path in made.iterdir():
        (task / path.name).unlink(missing_ok=True)
        os.link(path, task / path.name)
    return replace(instance, key=f"{instance.key}/scrambled-mark", task=task)


def borrow_rows(instance: Instance, folder: Path, seed: int, share: float = 1.0) -> Instance:
    """In a share of the test rows, what the student makes of another test row that has the other label and as many
    tokens. Rows and teacher stay, and so does all that the student says taken together: a method cannot tell, yet
    one that listens to the student gives these rows the other row's label. truth["borrowed"] (n,) flags them.
    """
    task, rng = copy_task(instance, folder), np.random.default_rng(seed)
    y = instance.truth["y"]
    lengths = np.zeros((len(y), 1), np.int64)
    if (path := instance.task / "test.logprobs.npy").exists():
        lengths = (~np.isnan(np.load(path))).sum(-1)
    pairs = _partners(y, lengths, rng)
    if 2 * len(pairs) < FEWEST:
        pairs = _partners(y, np.zeros_like(lengths), rng)
    pairs = pairs[: max(1, round(share * len(y) / 2))]
    order, borrowed = np.arange(len(y)), np.zeros(len(y), bool)
    order[pairs[:, 0]], order[pairs[:, 1]] = pairs[:, 1], pairs[:, 0]
    borrowed[pairs.ravel()] = True
    for what in OF_THE_STUDENT:
        if (path := task / f"test.{what}.npy").exists():
            replace_file(path, np.load(path)[order])
    truth = {**instance.truth, "borrowed": borrowed}
    return replace(instance, key=f"{instance.key}/borrowed-rows", task=task, truth=truth)


def _partners(y: NDArray[Any], lengths: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """(k, 2) disjoint pairs of rows of equal lengths and opposite labels, in random order."""
    groups: dict[tuple[int, ...], tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for row in rng.permutation(len(y)):
        groups[tuple(lengths[row])][int(y[row])].append(int(row))
    pairs = [pair for ones, others in groups.values() for pair in zip(ones, others, strict=False)]
    return rng.permutation(np.array(pairs, np.int64).reshape(-1, 2))
