"""A small causal language model: the student of the text testbeds. Pre-norm transformer, learned positions."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

PAD = 0


@dataclass(frozen=True)
class LMConfig:
    """Shape of a model: vocabulary (0 is padding), longest row T, width d, layers, heads."""

    vocab: int
    length: int
    width: int = 96
    layers: int = 3
    heads: int = 4


class Block(nn.Module):
    def __init__(self, c: LMConfig) -> None:
        super().__init__()
        self.heads = c.heads
        self.norm1, self.norm2 = nn.LayerNorm(c.width), nn.LayerNorm(c.width)
        self.qkv = nn.Linear(c.width, 3 * c.width)
        self.proj = nn.Linear(c.width, c.width)
        self.up, self.down = nn.Linear(c.width, 4 * c.width), nn.Linear(4 * c.width, c.width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.attend(x)
        return x + self.down(self.inner(x))  # type: ignore[no-any-return]

    def attend(self, x: Tensor) -> Tensor:
        """(n, T, d) -> the same after the attention, to which the second half is added."""
        n, t, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return x + self.proj(a.transpose(1, 2).reshape(n, t, d))  # type: ignore[no-any-return]

    def inner(self, x: Tensor) -> Tensor:
        """(n, T, d) -> (n, T, 4 d) what `down` is applied to."""
        return F.gelu(self.up(self.norm2(x)))


class LM(nn.Module):
    """Token 0 pads on the right; causal attention never sees it from a real token. Embeddings are tied."""

    def __init__(self, config: LMConfig) -> None:
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab, config.width)
        self.positions = nn.Embedding(config.length, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.normal_(p, std=0.02 if p.shape[0] != config.width else config.width**-0.5 / 2)

    def hidden(self, tokens: Tensor) -> list[Tensor]:
        """(n, T) tokens -> embeddings and every block's output, L+1 tensors of (n, T, d); the last is normed."""
        x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1], device=tokens.device))
        out = [x]
        for block in self.blocks:
            x = block(x)
            out.append(x)
        out[-1] = self.norm(x)
        return out

    def forward(self, tokens: Tensor) -> Tensor:
        """(n, T) tokens -> (n, T, vocab) logits of the next token."""
        return self.hidden(tokens)[-1] @ self.tokens.weight.T


def new_lm(config: LMConfig, seed: int) -> LM:
    """A model with random weights from `seed` (also the untrained twin)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LM(config)


def train_lm(
    model: LM,
    rows: NDArray[np.integer],
    steps: int,
    batch: int = 64,
    lr: float = 2e-3,
    seed: int = 0,
    progress: object = None,
) -> float:
    """Next-token training on (n, T) padded rows, AdamW, linear warm-up then cosine; returns the last loss (nats).

    Batches are cut to their longest row. `progress`, if given, is called with the share done.
    """
    rng = np.random.default_rng(seed)
    data = torch.from_numpy(rows.astype(np.int64))
    opt = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.05, betas=(0.9, 0.98), fused=True)
    warm = max(1, steps // 20)
    loss_value = float("nan")
    model.train()
    for step in range(steps):
        for group in opt.param_groups:
            group["lr"] = lr * min((step + 1) / warm, 0.05 + 0.95 * 0.5 * (1 + np.cos(np.pi * step / steps)))
        x = data[torch.from_numpy(rng.integers(0, len(data), batch))]
        x = x[:, : int((x != PAD).sum(1).max())]
        logits = model(x[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), x[:, 1:].flatten(), ignore_index=PAD)
        opt.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        if step % 50 == 0 or step == steps - 1:
            loss_value = float(loss.detach())
            if callable(progress):
                progress((step + 1) / steps)
    model.eval()
    return loss_value


@torch.no_grad()
def encode_lm(
    model: LM, tokens: NDArray[np.integer], last: bool = False, batch: int = 512
) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """(n, T) tokens -> features (n, L, d) of every block, mean over tokens (or the last token with `last`), and
    log-probabilities (n, T), NaN at the first token and after the end. Rows are sorted by length for speed."""
    model.eval()
    n, t = tokens.shape
    lengths = (tokens != PAD).sum(1)
    features = np.zeros((n, model.config.layers, model.config.width), np.float16)
    logprobs = np.full((n, t), np.nan, np.float16)
    order = np.argsort(lengths, kind="stable")
    for start in range(0, n, batch):
        index = order[start : start + batch]
        width = max(2, int(lengths[index].max()))
        x = torch.from_numpy(tokens[index, :width].astype(np.int64))
        real = (x != PAD).float()
        hidden = model.hidden(x)
        seen = x[:, 1:] != PAD
        lp = torch.full(seen.shape, torch.nan)
        lp[seen] = _logprobs(hidden[-1][:, :-1][seen], model.tokens.weight, x[:, 1:][seen])
        logprobs[index, 1:width] = lp.numpy().astype(np.float16)
        for layer, h in enumerate(hidden[1:]):
            if last:
                pooled = h[torch.arange(len(x)), real.sum(1).long() - 1]
            else:
                pooled = (h * real[..., None]).sum(1) / real.sum(1, keepdim=True)
            features[index, layer] = pooled.numpy().astype(np.float16)
    return features, logprobs


def _logprobs(hidden: Tensor, weight: Tensor, token: Tensor, chunk: int = 1024) -> Tensor:
    """(m, d) states, (V, d) embeddings, (m,) next tokens -> (m,) log-probabilities, in chunks that stay in cache."""
    out = torch.empty(len(hidden))
    for i in range(0, len(hidden), chunk):
        logits = hidden[i : i + chunk] @ weight.T
        chosen = logits.gather(1, token[i : i + chunk, None])[:, 0]
        out[i : i + chunk] = chosen - logits.logsumexp(1)
    return out


def save_lm(model: LM, path: Path, vocabulary: list[str] | None = None) -> None:
    """Write weights as half-precision safetensors, with shape (and vocabulary, one word a line) in the metadata."""
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = {k: str(v) for k, v in asdict(model.config).items()}
    if vocabulary is not None:
        meta["vocabulary"] = "\n".join(vocabulary)
    save_file({k: v.half().contiguous() for k, v in model.state_dict().items()}, path, metadata=meta)


def load_lm(path: Path, config: LMConfig) -> LM:
    """Read weights written by `save_lm` into a model of the given shape."""
    model = LM(config)
    model.load_state_dict({k: v.float() for k, v in load_file(path).items()})
    model.eval()
    return model
