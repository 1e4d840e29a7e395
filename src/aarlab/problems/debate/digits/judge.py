"""Judges of digits: small networks on 64 masked values and 64 bits that say which pixels are shown, all of a set's
judges trained in one batched network, which costs a core a second a judge.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from aarlab.kit.debate.task import Judge
from aarlab.problems.debate.testbed import Cases, Draw, Fitted

WIDTH = 48
STEPS, BATCH, RATE, DECAY = 3000, 128, 4e-3, 1e-2
WHOLE_STEPS = 1500  # whole images are learned sooner
SHARE = 0.9  # of the training images, drawn anew for every judge
Floats = NDArray[np.float32]
Weights = list[Tensor]
Masks = Callable[[Tensor, torch.Generator], Tensor]


def fit(draw: Draw, cases: Sequence[Cases], seeds: Sequence[int], k: int, share: float) -> list[Fitted]:
    """One judge a seed, and one that sees whole images for the ceiling."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # two were slower than one at this size
    try:
        gen = torch.Generator().manual_seed(int(np.random.default_rng(list(seeds)).integers(2**31)))
        untrained = start(len(seeds), k, gen)
        judges = train(draw, [w.clone() for w in untrained], STEPS, lambda legal, g: some(legal, k, g), share, gen)
        wholes = train(draw, start(len(seeds), 32, gen), WHOLE_STEPS, lambda legal, _: legal, share, gen)
    finally:
        torch.set_num_threads(threads)
    return [
        Fitted(handle(one(judges, i), case), handle(one(untrained, i), case), whole(one(wholes, i), case))
        for i, case in enumerate(cases)
    ]


def start(count: int, shown: int, gen: torch.Generator) -> Weights:
    """`count` random networks of two hidden layers; the first is scaled for so many shown pixels."""
    weights = []
    for rows, columns, inputs in ((128, WIDTH, 2 * shown), (WIDTH, WIDTH, WIDTH), (WIDTH, 10, WIDTH)):
        weights.append(torch.randn(count, rows, columns, generator=gen) * (2 / inputs) ** 0.5)
        weights.append(torch.zeros(count, 1, columns))
    return weights


def some(legal: Tensor, k: int, gen: torch.Generator) -> Tensor:
    """(..., 64) -> as many ones: k random legal pixels of each image."""
    thrown = torch.rand(legal.shape, generator=gen) * legal
    return torch.zeros_like(legal).scatter_(-1, thrown.topk(k, dim=-1).indices, 1.0)


def train(draw: Draw, weights: Weights, steps: int, masks: Masks, share: float, gen: torch.Generator) -> Weights:
    """Train all networks side by side with fresh masks at every step; each on its own draw of the images."""
    count, n = len(weights[0]), len(draw.training)
    mine = max(10, round(share * SHARE * n))
    own = torch.stack([torch.randperm(n, generator=gen)[:mine] for _ in range(count)])
    images = torch.tensor(draw.training.values)
    y = torch.tensor(draw.training.y)
    weights = [w.requires_grad_() for w in weights]
    optimiser = torch.optim.AdamW(weights, lr=RATE, weight_decay=DECAY)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps, pct_start=0.15)
    for _ in range(steps):
        rows = own.gather(1, torch.randint(mine, (count, BATCH), generator=gen))
        values = images[rows]
        mask = masks((values > 0).float(), gen)
        logits = forward(weights, torch.cat([values * mask, mask], -1))
        loss = functional.cross_entropy(logits.flatten(0, 1), y[rows].flatten(), reduction="sum") / BATCH
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        rate.step()
    return [w.detach() for w in weights]


def forward(weights: Weights, x: Tensor) -> Tensor:
    """(judges, rows, 128) -> (judges, rows, 10) logits."""
    for layer in range(0, len(weights), 2):
        x = torch.baddbmm(weights[layer + 1], x, weights[layer])
        x = x.relu() if layer < len(weights) - 2 else x
    return x


def one(weights: Weights, i: int) -> list[Floats]:
    """The weights of one network: (d, d') and (d',) in turn."""
    return [w[i].numpy() if n % 2 == 0 else w[i, 0].numpy() for n, w in enumerate(weights)]


def handle(weights: Sequence[Floats], cases: Cases) -> Judge:
    """The network as the kit's judge: a shown pixel adds its value times one row and, as it is shown, another."""
    first, bias, *rest = weights
    parts = cases.values[:, :, None] * first[None, :64] + first[None, 64:]
    base = np.repeat(bias[None], len(cases), 0)
    return Judge(base, parts.astype(np.float32), tuple(zip(rest[::2], rest[1::2], strict=True)))


def whole(weights: Sequence[Floats], cases: Cases) -> Floats:
    """(n, 10) logits of whole images."""
    judge = handle(weights, cases)
    shown = np.where(cases.legal, np.arange(64), -1)
    return judge.logits(np.arange(len(cases)), shown)
