"""The student: a small convolutional encoder, pretrained without labels to see through shift and clutter.

Of every image two views, a usual and an unusual one: their embeddings are told from those of other images
(SimCLR, Chen et al. 2020), and each gives back the clean upright image (a denoising autoencoder, Vincent et
al. 2008).
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from aarlab.problems.images import archive
from aarlab.problems.w2s.digits.data import CANVAS, SIDE, UNUSUAL, USUAL, units, views
from aarlab.problems.w2s.testbed import Encoded

WIDTH = 128
LAYERS = 5
STEPS = 1800
BATCH = 128
TEMPERATURE = 0.5
CONTRAST, RESTORE = 0.5, 10.0  # weights of the contrastive term and of the clean image's squared error
TWIN = 1_000_003  # the twin's weights come from another seed than those that pretraining starts from


class Encoder(nn.Module):
    """(n, 1, 12, 12) views -> five layers of 128 features.

    Layers: strokes on a 4x4 grid, parts on a 2x2 grid, parts anywhere (mean and largest), hidden, embedding.
    Normalised by groups of channels, so that the untrained twin needs no data either.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(1, 8, 3, padding=1), nn.GroupNorm(2, 8)
        self.conv2, self.norm2 = nn.Conv2d(8, 32, 3, padding=1), nn.GroupNorm(4, 32)
        self.conv3, self.norm3 = nn.Conv2d(32, 64, 3, padding=1), nn.GroupNorm(8, 64)
        self.hidden, self.norm4 = nn.Linear(64 * 9, WIDTH), nn.LayerNorm(WIDTH)
        self.embed = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> list[Tensor]:
        a = F.gelu(self.norm1(self.conv1(x)))
        b = F.gelu(self.norm2(self.conv2(F.avg_pool2d(a, 2))))
        c = F.gelu(self.norm3(self.conv3(F.max_pool2d(b, 2))))
        h = F.gelu(self.norm4(self.hidden(c.flatten(1))))
        pooled = torch.cat([c.mean((2, 3)), c.amax((2, 3))], 1)
        return [F.avg_pool2d(a, 3).flatten(1), F.avg_pool2d(b, 3).flatten(1), pooled, h, self.embed(h)]


def new_encoder(seed: int) -> Encoder:
    """An encoder with random weights from `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Encoder().eval()


def train_encoder(seed: int, steps: int = STEPS, progress: Callable[[float], None] | None = None) -> Encoder:
    """Pretrain on the images set aside for it, fresh views in every step. Seeded; reads no label and no set.

    `progress`, if given, is called with the share done.
    """
    rng = np.random.default_rng([seed, 7])
    model = new_encoder(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + 1)
        project = nn.Sequential(nn.GELU(), nn.Linear(WIDTH, 64))
        decode = nn.Sequential(nn.GELU(), nn.Linear(WIDTH, SIDE * SIDE))
    images = archive()[0][units()["pretrain"]]
    params = [*model.parameters(), *project.parameters(), *decode.parameters()]
    opt = torch.optim.AdamW(params, lr=3e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(opt, 3e-3, total_steps=steps + 1, pct_start=0.1)
    model.train()
    for step in range(steps):
        chosen = images[rng.permutation(len(images))[:BATCH]]
        both = np.concatenate([views(chosen, USUAL, rng), views(chosen, UNUSUAL, rng)])
        embedded = model(torch.from_numpy(both)[:, None])[-1]
        clean = torch.from_numpy(chosen).flatten(1).repeat(2, 1)
        loss = RESTORE * F.mse_loss(decode(embedded), clean)
        z = F.normalize(project(embedded))
        alike = (z @ z.T / TEMPERATURE).fill_diagonal_(-torch.inf)
        partner = torch.arange(2 * BATCH).roll(BATCH)
        loss = loss + CONTRAST * F.cross_entropy(alike, partner)
        opt.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        opt.step()
        schedule.step()
        if progress is not None and (step % 50 == 0 or step == steps - 1):
            progress((step + 1) / steps)
    return model.eval()


def save_encoder(model: Encoder, path: Path) -> None:
    """Write weights as half-precision safetensors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: v.half().contiguous() for k, v in model.state_dict().items()}, path)


def load_encoder(path: Path) -> Encoder:
    """Read what `save_encoder` wrote."""
    model = Encoder()
    model.load_state_dict({k: v.float() for k, v in load_file(path).items()})
    return model.eval()


@torch.no_grad()
def encode(model: Encoder, inputs: NDArray[np.float32], batch: int = 512) -> Encoded:
    """(n, 1, 12, 12) views -> features (n, 1, 5, 128); tokens are the intensities from 0 to 255."""
    x = torch.from_numpy(np.ascontiguousarray(inputs, dtype=np.float32)).view(-1, 1, CANVAS, CANVAS)
    parts = [torch.stack(model(x[i : i + batch]), 1) for i in range(0, len(x), batch)]
    features = torch.cat(parts).numpy().astype(np.float16)[:, None]
    tokens = np.rint(inputs.reshape(len(inputs), 1, -1) * 255).astype(np.int32)
    return Encoded(features, None, tokens)
