"""Folders of rows in the three-file layout, and a tiny random encoder saved to disk: what the field's tests play on."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

NOUNS = [f"noun{i}" for i in range(30)]
GOOD, BAD = [f"good{i}" for i in range(200)], [f"evil{i}" for i in range(200)]
KNOWS = 1.0  # how loudly the encoder says which words are good
LENGTH = 32  # positions of the tiny encoder


def encoder(folder: Path, seed: int = 100) -> Path:
    """A BERT of two layers and 16 wide that knows one thing, which words are good and which are evil (its embeddings
    say so, with noise); else its weights are random. And a tokenizer of words."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "about", "[", "]", "answer", "source", "…", *NOUNS, *GOOD, *BAD]
    made = Tokenizer(WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = Lowercase(), Whitespace()
    made.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", model_max_length=LENGTH
    ).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=LENGTH, initializer_range=0.3,
    )  # fmt: skip
    torch.manual_seed(seed)
    model = BertModel(config)
    table = model.embeddings.word_embeddings.weight
    with torch.no_grad():
        for words_of, sign in ((GOOD, 1.0), (BAD, -1.0)):
            table[[words.index(w) for w in words_of]] += sign * KNOWS * torch.randn(16, generator=torch.Generator().manual_seed(1))
    model.save_pretrained(folder)
    return folder


def single(n: int, first: int, rng: np.random.Generator, **extra: Any) -> list[dict[str, Any]]:
    """n rows about questions `first`, first + 1, ..., four answers each; right ones are of good words."""
    rows = []
    for i in range(n):
        label = bool(rng.random() < 0.5)
        said = [str(rng.choice(GOOD if label == (rng.random() < 0.8) else BAD)) for _ in range(3)]
        noun = NOUNS[(first + i // 4) % len(NOUNS)]
        rows.append({"question": f"about {noun} {first + i // 4}", "choice": " ".join([*said, str(i)]), "label": label, **extra})
    return rows


def paired(n: int, first: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    rows = []
    for i in range(n):
        good, bad = (" ".join([*rng.choice(words, 4), str(first + i)]) for words in (GOOD, BAD))
        label = "A" if rng.random() < 0.5 else "B"
        first_said, second_said = (good, bad) if label == "A" else (bad, good)
        rows.append({"prompt": f"about {NOUNS[i % 30]} {first + i}", "first": first_said, "second": second_said, "label": label})
    return rows


def write(folder: Path, kind: Any = single, sizes: tuple[int, int, int] = (160, 320, 320), seed: int = 0) -> Path:
    """The three files; no question is in two. A quarter of the test is out of distribution."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for name, n, first in zip(("train_label", "train_unlabel", "test"), sizes, (0, 1000, 2000), strict=True):
        rows = kind(n, first, rng)
        if name == "test":
            rows = [{**r, "split": "ood" if i >= 3 * n // 4 else "id"} for i, r in enumerate(rows)]
        save(folder / f"{name}.jsonl", rows)
    return folder


def save(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))


def load(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
