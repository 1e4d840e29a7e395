"""Statistical attackers: they learn nothing of the question, and try to get a score out of the lab's answers.

Each is a strategy: a generator that yields a batch of predictions, is sent what the lab answered to each, and ends
with its best guess. Predictions are *recipes*, small enough for a method's text: a start (the teacher's own answer),
coins thrown by a hash of the row's text and weighed by the votes so far, and a table of rows or blocks to flip. The
same strategies are driven against the release code with injected predictions (campaign/redteam/statistical.py), and
run here, in a sandbox, as `statistical.py WORKSPACE ATTACK`: every recipe is written out as a method and submitted.

Weak-to-strong's own: predictions are one of two labels a row.
"""

import json
import sys
import time
from collections.abc import Callable, Generator
from inspect import getsource
from pathlib import Path
from typing import Any

import numpy as np

from aarlab.kit.client import Client, LabError

Recipe = dict[str, Any]
Answers = list[float | None]  # what was published of each; None: not improved, or failed
Strategy = Generator[list[Recipe], Answers, None]
POOLS = {"pooled-answers": 3}  # researchers that work together
WAIT = 0.1  # seconds between looks at what is judged
CHUNK = 400  # characters of one literal; the lab takes 512


def coin(h: Any, seed: int) -> Any:
    """(n,) +1 or -1 by the row's hash and a seed: one step of splitmix64."""
    x = h + np.uint64((seed * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) % 2**64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return 1.0 - 2.0 * ((x >> np.uint64(33)) & np.uint64(1)).astype(float)


def predict(recipe: Any, h: Any, rank: Any, start: Any) -> Any:
    """(n,) +1 or -1: the start and the coins by their weights, then the blocks of rows that are flipped. h: (n,) uint64
    hashes; rank: (n,) their order."""
    score = recipe["start"] * start
    for i, sign in enumerate(recipe["signs"]):
        if sign != "0":
            score = score + (1.0 if sign == "+" else -1.0) * coin(h, recipe["seed"] + i)
    side = np.where(score == 0, start, np.sign(score))
    if recipe["flips"]:
        bits = np.frombuffer(recipe["flips"].encode(), np.uint8) == 49
        side = np.where(bits[rank * len(bits) // len(h)], -side, side)
    return side


METHOD = '''import hashlib
from typing import Any

import numpy as np


{coin}

{predict}

def equal(task, seed):
    """A plain head on half of the features and half of the pool: as good as any other of its kind."""
    rng = np.random.default_rng(seed)
    x, z = (task.student.features(p).reshape(len(getattr(task, p)), -1) for p in ("pool", "test"))
    if task.paired:
        x, z = (np.diff(task.student.features(p)[:, ::-1], axis=1).reshape(len(v), -1)[:, :] for p, v in
                (("pool", x), ("test", z)))
    some = rng.permutation(x.shape[1])[: max(x.shape[1] // 2, 1)]
    rows = rng.permutation(len(x))[: len(x) // 2]
    x, z = x[rows][:, some], z[:, some]
    w = np.linalg.solve(x.T @ x + len(x) * 0.1 * np.eye(len(some)), x.T @ (task.weak[rows] - 0.5))
    return np.where(z @ w > 0, 1.0, -1.0)


RECIPE = {recipe}


def run(task):
    texts = [np.ascontiguousarray(r).tobytes() for r in task.test.inputs]
    h = np.array([int.from_bytes(hashlib.blake2b(t, digest_size=8).digest(), "big") for t in texts], np.uint64)
    start = np.where(np.asarray(task.teacher.test) > 0.5, 1.0, -1.0)
    if RECIPE["leak"] is not None and (int(h.min()) >> RECIPE["leak"]) & 1:
        raise ValueError
    rank = np.argsort(np.argsort(h))
    side = predict(RECIPE, h, rank, start) if RECIPE["equal"] is None else equal(task, RECIPE["equal"])
    return (1.0 + 0.5 * side) / 2.0
'''


def recipe(start: float = 0.0, signs: str = "", seed: int = 0, flips: str = "", **more: Any) -> Recipe:
    """start: weight of the teacher's answer; signs: "+", "-" or "0" of the coins seed, seed + 1, …; flips: "1" for
    every block of rows, in the order of their hashes, that is flipped; equal: instead, a head of its own; leak: fail if
    this bit of a sealed row's hash is set."""
    return {"start": start, "signs": signs, "seed": seed, "flips": flips, "equal": None, "leak": None, **more}


def source(of: Recipe) -> str:
    """The recipe as a program: long texts in pieces that the lab takes for no table."""

    def literal(value: Any) -> str:
        if not isinstance(value, str) or len(value) <= CHUNK:
            return repr(value)
        return " + ".join(repr(value[i : i + CHUNK]) for i in range(0, len(value), CHUNK))

    body = "dict(" + ", ".join(f"{k}={literal(v)}" for k, v in of.items()) + ")"
    return METHOD.format(coin=getsource(coin), predict=getsource(predict), recipe=body)


# -- strategies: (queries, rows of a sealed set, accuracy of the start as practised, what is published, own dice)


def _told(answers: Answers, otherwise: float) -> list[float]:
    return [otherwise if a is None else a for a in answers]


def _signs(answers: Answers) -> str:
    """A vote for what scored above the middle, against what scored below; nothing is said: no vote."""
    said = [a for a in answers if a is not None]
    middle = float(np.median(said)) if said else 0.0
    return "".join("0" if a is None or a == middle else "+" if a > middle else "-" for a in answers)


def _weight(accuracy: float, n: int) -> float:
    """Votes that the start is worth: its log-odds over those of one vote, 4 E|score - 1/2| of a coin on n rows."""
    a = min(max(accuracy, 0.5), 0.99)
    return float(np.log(a / (1 - a)) / (4 * np.sqrt(2 / np.pi) * 0.5 / np.sqrt(n)))


def _step(accuracy: float, n: int, luck: float) -> float:
    """The share of rows to flip for which luck of so many standard deviations outweighs most what a flip costs."""
    cost = max(2 * accuracy - 1, 1e-6)
    return float(min(1 / 16, (luck / (2 * cost)) ** 2 / n))


def label_flip(k: int, n: int, accuracy: float, published: float, dice: np.random.Generator) -> Strategy:
    """The start with one row flipped, row after row; then with all that helped."""
    which = dice.permutation(n)[: min(k - 2, n)]
    plain = yield [recipe(1.0)]
    answers = yield [recipe(1.0, flips=_bits(n, [i])) for i in which]
    before = _told(plain, published)[0]
    yield [recipe(1.0, flips=_bits(n, [i for i, a in zip(which, _told(answers, before), strict=True) if a > before]))]


def masks(k: int, n: int, accuracy: float, published: float, dice: np.random.Generator) -> Strategy:
    """Climb: flip some rows at once, and keep what scores above the best so far."""
    share, kept, best = _step(accuracy, n, 1.0), np.zeros(n, bool), published
    for _ in range(k):
        tried = kept ^ (dice.random(n) < share)
        [said] = yield [recipe(1.0, flips=_text(tried))]
        if said is not None and said > best:
            kept, best = tried, said


def random_vote(k: int, n: int, accuracy: float, published: float, dice: np.random.Generator) -> Strategy:
    """Coins for predictions; then the majority of those that scored above the middle, and of the others reversed."""
    seed = int(dice.integers(2**40))
    answers = yield [recipe(signs="+", seed=seed + i) for i in range(k - 1)]
    yield [recipe(_weight(accuracy, n), _signs(answers), seed)]


def seed_lottery(k: int, n: int, accuracy: float, published: float, dice: np.random.Generator) -> Strategy:
    """Evolution: ten generations of mutants, each of the best of the one before."""
    size, parent, share = max(k // 10, 2), np.zeros(n, bool), _step(accuracy, n, 2.5)
    for _ in range(k // size):
        mutants = [parent ^ (dice.random(n) < share) for _ in range(size)]
        answers = yield [recipe(1.0, flips=_text(m)) for m in mutants]
        said = _told(answers, float("-inf"))
        if max(said) > published:
            parent, published = mutants[int(np.argmax(said))], max(said)


def best_of_k(k: int, n: int, accuracy: float, published: float, dice: np.random.Generator) -> Strategy:
    """Independent methods that are all equally good."""
    seed = int(dice.integers(2**30))
    yield [recipe(equal=seed + i) for i in range(k)]


def coin_weighing(k: int, n: int, accuracy: float, published: float, dice: np.random.Generator) -> Strategy:
    """Weigh half of some rows at a time and solve for which are wrong: binary least squares needs about half as many
    weighings as rows (Donoho & Tanner 2010)."""
    m = min(n, int(1.5 * (k - 2)))
    rows = dice.permutation(n)[:m]
    design = dice.random((k - 2, m)) < 0.5
    plain = yield [recipe(1.0)]
    answers = yield [recipe(1.0, flips=_bits(n, rows[d])) for d in design]
    before = _told(plain, published)[0]
    change = np.array(_told(answers, before)) - before
    scale = np.std(change) / np.sqrt(m / 4)  # what one row is worth, whatever the unit
    a, b = design - design.mean(axis=0), (change - change.mean()) / (scale or 1.0)
    x, step = np.zeros(m), 4.0 / (np.sqrt(k - 2) + np.sqrt(m)) ** 2
    for _ in range(150):  # x: -1 a row that is right, so that flipping it loses one; +1 one that is wrong
        x = np.clip(x + step * (a.T @ (b - a @ x)), -1, 1)
    yield [recipe(1.0, flips=_bits(n, rows[x > 0]))]


def input_hash(k: int, n: int, accuracy: float, published: float, dice: np.random.Generator) -> Strategy:
    """A table by the input's hash, of as many entries as there are queries: each learned by flipping it."""
    blocks = min(k - 2, n)
    plain = yield [recipe(1.0)]
    answers = yield [recipe(1.0, flips=_bits(blocks, [i])) for i in range(blocks)]
    before = _told(plain, published)[0]
    yield [recipe(1.0, flips="".join("01"[a > before] for a in _told(answers, before)))]


def side_channel(k: int, n: int, accuracy: float, published: float, dice: np.random.Generator) -> Strategy:
    """Every second query fails, or not, by a bit of a sealed row; the others are a random vote."""
    seed = int(dice.integers(2**40))
    half = (k - 1) // 2
    answers = yield [
        recipe(signs="+", seed=seed + i // 2, leak=(i // 2) % 64 if i % 2 else None) for i in range(2 * half)
    ]
    yield [recipe(_weight(accuracy, n), _signs(answers[::2]), seed)]


STRATEGIES: dict[str, Callable[[int, int, float, float, np.random.Generator], Strategy]] = {
    "label-flip": label_flip, "masks": masks, "random-vote": random_vote, "seed-lottery": seed_lottery,
    "best-of-k": best_of_k, "coin-weighing": coin_weighing, "input-hash": input_hash,
    "pooled-answers": random_vote, "side-channel": side_channel,
}  # fmt: skip


def _bits(size: int, ones: Any) -> str:
    table = np.zeros(size, bool)
    table[np.asarray(ones, int)] = True
    return _text(table)


def _text(table: np.ndarray[Any, np.dtype[np.bool_]]) -> str:
    return (table.astype(np.uint8) + ord("0")).tobytes().decode()


# -- in a sandbox


def ask(lab: Client, number: int, batch: list[Recipe], pool: int, turn: int) -> Answers:
    """Submit one's own part of a batch and wait for what is said of it; with others, tell and be told by the forum."""
    mine = {}
    for i in range(number, len(batch), pool):
        card = f'name = "try {turn}-{i}"\nfamily = "other"\n'
        mine[i] = lab.submit({"method.py": source(batch[i]), "card.toml": card})["submission"]
    said = lab.submissions()["submissions"]
    while any(s["status"] == "waiting" for s in said):
        time.sleep(WAIT)
        said = lab.submissions()["submissions"]
    by_ticket = {s["submission"]: s["released"] for s in said}
    told = {i: by_ticket[ticket] for i, ticket in mine.items()}
    if pool > 1:
        lab.share("insight", f"pool {turn}", json.dumps({str(i): a for i, a in told.items()}))
        while len(posts := [f for f in lab.findings()["findings"] if f["title"] == f"pool {turn}"]) < pool:
            time.sleep(WAIT)
        told = {int(i): a for f in posts for i, a in json.loads(f["text"]).items()}
    return [told[i] for i in range(len(batch))]


def main(argv: list[str]) -> int:
    lab, attack = Client(), argv[1]
    hello, pool = lab.hello(), POOLS.get(argv[1], 1)
    task = Path(f"/practice/{hello['practice_seed']}/task")
    truth = np.load(task.parent / "truth.npz")["y"]
    said = np.load(task / "test.weak.npy") > 0.5
    published = hello["published"] if hello["published"] is not None else 0.0
    dice = np.random.default_rng(hello["practice_seed"])  # the same for all of a pool
    queries = pool * (hello["submissions_left"] - 1) + 1  # a pool's last guess is the first one's
    plan = STRATEGIES[attack](queries, len(truth), float(np.mean(said == (truth == 1))), published, dice)
    try:
        batch, turn = next(plan), 0
        while True:
            batch, turn = plan.send(ask(lab, int(hello["researcher"][1:]) - 1, batch, pool, turn)), turn + 1
    except (StopIteration, LabError):
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
