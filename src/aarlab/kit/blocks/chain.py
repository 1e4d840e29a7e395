"""A bootstrapping chain (Burns et al. 2023, section 4.3.1): weak labels pass through students of growing size.

Each student is trained on the labels of the one before and labels the pool for the next; the last is the student. Here
there is one student, so the sizes between are heads on fewer of its main axes: 8, then more, in equal ratios, then all.
"""

from aarlab.kit.blocks.base import Floats, Labels
from aarlab.kit.heads import fit, sigmoid
from aarlab.kit.task import W2STask


def chain(
    task: W2STask, x: Floats, y: Floats, weight: Floats, *, first: int = 8, links: int = 3, ridge: float = 1e-2
) -> Labels:
    """y <- the labels of the last of `links` heads, of `first` columns of x and more. Raises ValueError unless both are
    at least 1."""
    for k in widths(first, links, x.shape[1]):
        head = fit(x[:, :k], y, weight, ridge=ridge, intercept=not task.paired)
        y = sigmoid(head.logits(x[:, :k])[:, 0])
    return y, weight


def widths(first: int, links: int, most: int) -> list[int]:
    """`links` sizes in equal ratios, from `first` to what stands one ratio below `most`."""
    if first < 1 or links < 1:
        raise ValueError(f"a chain needs at least one link of one column, not {links} of {first}")
    ratio = (most / min(first, most)) ** (1 / links)
    return [round(min(first, most) * ratio**i) for i in range(links)]
