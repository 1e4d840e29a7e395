"""The zoo: every method that composes the kit's blocks, as a flat set of choices that a search can climb
in.

A `Config` names a representation, up to two relabellers, an optional filter, a trainer and an ensemble;
`run` runs it, `source` writes it as a readable method.py that gives exactly the same predictions,
`suggest` draws one from anything with Optuna's `suggest_categorical`, `suggest_float` and `suggest_int`
(optuna itself is not imported here).
"""

import json
import re
import textwrap
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aarlab.kit import blocks, choices
from aarlab.kit.blocks.base import Labels
from aarlab.kit.blocks.minibatch import LOSSES, RAMPS
from aarlab.kit.blocks.probe import PROBES
from aarlab.kit.choices import Choices, Value, call, choose, told
from aarlab.kit.heads import balance, fit, sigmoid
from aarlab.kit.represent import LAYERS, represent
from aarlab.kit.task import W2STask
from aarlab.kit.trials import RandomTrial, Trial

RELABELLERS: Mapping[str, Callable[..., Any]] = {
    f.__name__: f
    for f in (
        blocks.ccs, blocks.curriculum, blocks.elicit, blocks.em, blocks.graph, blocks.knn, blocks.oof,
        blocks.self_training, blocks.zero_shot_prior,
        blocks.chain, blocks.consistent, blocks.epiplexity, blocks.icm, blocks.probe_labels,
    )
}  # fmt: skip
FILTERS: Mapping[str, Callable[..., Any]] = {
    f.__name__: f
    for f in (
        blocks.confident, blocks.overlap, blocks.weigh, blocks.sharpen, blocks.hard,
        blocks.band, blocks.probe_filter,
    )
}  # fmt: skip
TRAINERS: Mapping[str, Callable[..., Any]] = {
    f.__name__: f
    for f in (
        blocks.logistic, blocks.logconf, blocks.gce, blocks.evolve,
        blocks.coteach, blocks.mdl, blocks.minibatch, blocks.reverse_kl, blocks.symmetric,
    )
}  # fmt: skip
# What only a testbed that asks for it (trait "wide") offers to its searches and to the random control alike: the
# others' draws, and all that was measured with them, stay what they were. `band` may leave no row: it is never drawn.
WIDE = frozenset(
    {
        "chain", "consistent", "epiplexity", "icm", "probe_labels", "band", "probe_filter", "coteach", "mdl",
        "minibatch", "reverse_kl", "symmetric",
    }
)  # fmt: skip
STAGES = ("first", "label", "filter", "train")  # in the order in which they run
ANY: Mapping[str, Any] = {"paired": True, "logprobs": True}  # traits of a testbed on which every block can run
TRIVIAL = "def run(task):\n    return task.teacher.test\n"
REPRESENTATION = ("layers", "logprobs", "pca", "whiten", "logprob_scale")


class Config(Choices):
    """Choices by name. Plain names: `layers`, `logprobs`, `pca`, `whiten`, `logprob_scale` (see
    `represent`), `first`, `label` (relabellers, "none" to skip), `filter`, `train`, `members` (bootstrap;
    1: none), `balance`. Dotted names are a stage's parameters: `label.k`, `train.ridge`. What is left out
    takes the block's default.
    """

    def check(self) -> None:
        check(self)

    @property
    def name(self) -> str:
        """Stages and a short hash: "elicit-confident-logistic-1f2e3d"."""
        parts = [str(self.choices.get(s, "none")) for s in STAGES]
        return "-".join([*(p for p in parts if p != "none"), self.tag])


# The eleven families of the AAR study, and the blocks that make a method one of theirs ("stage:block").
FAMILIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "self-training": ("label:self_training", "label:chain"),
        "ensemble": ("members",),
        "distillation": ("label:oof", "filter:sharpen"),
        "data filtering": ("filter:confident", "filter:overlap", "filter:band", "filter:probe_filter"),
        "confidence weighting": ("filter:weigh",),
        "loss function": (
            "train:logconf", "train:gce", "train:minibatch", "train:symmetric", "train:reverse_kl", "train:coteach",
        ),
        "unsupervised elicitation": ("label:elicit", "label:zero_shot_prior", "label:icm", "label:consistent"),
        "curriculum": ("label:curriculum", "train:mdl"),
        "model internals": ("label:ccs", "label:knn", "label:graph", "label:probe_labels"),
        "evolutionary": ("train:evolve",),
        "other": ("label:em", "label:epiplexity"),
    }
)  # fmt: skip


def family(config: Config) -> str:
    """The family of a configuration: that of its most particular block (relabellers first, then loss,
    then filter)."""
    c = config.choices
    if c.get("train") == "zero_shot":
        return "unsupervised elicitation"
    marks = [f"label:{c.get('label')}", f"label:{c.get('first')}", f"train:{c.get('train')}"]
    marks += [f"filter:{c.get('filter')}"]
    marks += ["members"] if int(c.get("members", 1) or 1) > 1 else []
    for mark in marks:
        for name, members in FAMILIES.items():
            if mark in members:
                return name
    return "other"


def check(config: Config) -> None:
    """Raises ValueError, naming what is known, for a choice that means nothing."""
    known = {
        "first": {"none", *RELABELLERS},
        "label": {"none", *RELABELLERS},
        "filter": {"none", *FILTERS},
        "train": {"zero_shot", *TRAINERS},
    }
    c = config.choices
    for key, value in c.items():
        stage, dot, parameter = key.partition(".")
        if dot:
            if stage not in STAGES:
                raise ValueError(f"unknown choice {key!r}: no stage {stage!r} of {', '.join(STAGES)}")
            block = _block(stage, str(c.get(stage, "logistic" if stage == "train" else "none")))
            takes = block.__kwdefaults__ or {} if block else {}
            if parameter not in takes:
                raise ValueError(f"{c.get(stage)!r} takes no {parameter!r}; it takes {', '.join(takes) or 'nothing'}")
        elif key in known:
            if value not in known[key]:
                raise ValueError(f"no {key} {value!r}; known: {', '.join(sorted(known[key]))}")
        elif key not in (*REPRESENTATION, "members", "balance"):
            raise ValueError(f"unknown choice {key!r}")
    if c.get("train") == "zero_shot":
        extra = [k for k in c if k != "train" and not k.startswith("train.")]
        if extra:
            raise ValueError(f"zero_shot trains nothing, so it takes no {', '.join(extra)}")


def _block(stage: str, name: str) -> Callable[..., Any] | None:
    if stage == "train":
        return blocks.zero_shot if name == "zero_shot" else TRAINERS.get(name)
    return {**RELABELLERS, **FILTERS}.get(name)


def _of(**choices: Value) -> Config:
    return Config({k.replace("__", "."): v for k, v in choices.items()})


BASELINES: Mapping[str, Config] = MappingProxyType(
    {
        "naive_hard": _of(filter="hard", train="logistic"),
        "naive_soft": _of(train="logistic"),
        "confident_only": _of(filter="confident", filter__keep=0.5, train="logistic"),
        "logconf": _of(train="logconf", train__alpha=0.5),
        "self_training": _of(label="self_training", train="logistic"),
        "oof": _of(label="oof", train="logistic"),
        "knn": _of(label="knn", train="logistic"),
        "ccs": _of(label="ccs", train="logistic"),
        "elicitation": _of(label="elicit", train="logistic"),
        "ensemble": _of(train="logistic", members=10),
        "zero_shot": _of(train="zero_shot"),
    }
)


def applicable(config: Config, traits: Mapping[str, Any]) -> bool:
    """Whether the configuration can run on such rows and with such a student."""
    c = config.choices
    used = {str(c.get(stage, "none")) for stage in STAGES}
    return (traits["paired"] or "ccs" not in used) and (
        traits["logprobs"] or not used & {"zero_shot", "zero_shot_prior"}
    )


def run(task: W2STask, config: Config) -> NDArray[np.float64]:
    """(n_test,) P(y = 1). Raises ValueError where the configuration is not `applicable`."""
    c = config.choices
    if c.get("train") == "zero_shot":
        return blocks.zero_shot(task, **config.parameters("train"))
    x, x_test = _represented(task, config)
    y, weight = _labels(task, x, config)
    members = int(c.get("members", 1) or 1)
    if members > 1:
        weight = blocks.bootstrap(task, weight, members=members)
    head = TRAINERS[str(c.get("train", "logistic"))](task, x, y, weight, **config.parameters("train"))
    if c.get("balance") and not task.paired:
        head = balance(head, x)
    return head.predict(x_test)  # type: ignore[no-any-return]


def _represented(task: W2STask, config: Config) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return represent(task, **{k: v for k, v in config.choices.items() if k in REPRESENTATION})  # type: ignore[arg-type]


def _labels(task: W2STask, x: NDArray[np.float32], config: Config) -> Labels:
    """What the stages before training make of the teacher's labels: (n,) labels, (n,) weights."""
    y, weight = task.weak, np.ones(len(x), np.float32)
    for stage in ("first", "label", "filter"):
        block = _block(stage, str(config.choices.get(stage, "none")))
        if block is not None:
            y, weight = block(task, x, y, weight, **config.parameters(stage))
    return y, weight


def sweep(task: W2STask, configs: Sequence[Config]) -> list[NDArray[np.float64]]:
    """What `run` gives of every configuration, to the tolerance at which a fit stops. What they share is computed once:
    a representation, what relabels and filters; and logistic heads on one representation are columns of one fit."""
    out: list[NDArray[np.float64]] = [np.empty(0)] * len(configs)
    known: dict[str, Labels] = {}
    groups: dict[str, list[int]] = {}
    for i, config in enumerate(configs):
        c = config.choices
        if c.get("train", "logistic") != "logistic" or int(c.get("members", 1) or 1) > 1 or c.get("balance"):
            out[i] = run(task, config)
        else:
            groups.setdefault(json.dumps({k: v for k, v in c.items() if k in REPRESENTATION}), []).append(i)
    for members in groups.values():
        x, x_test = _represented(task, configs[members[0]])
        labels = []
        for i in members:
            before = json.dumps({k: v for k, v in configs[i].choices.items() if not k.startswith("train")})
            if before not in known:
                known[before] = _labels(task, x, configs[i])
            labels.append(known[before])
        ridge = [float(configs[i].choices.get("train.ridge", 1e-2) or 0) for i in members]
        y, weight = (np.stack(part, 1) for part in zip(*labels, strict=True))
        z = fit(x, y, weight, ridge=ridge, intercept=not task.paired).logits(x_test)
        for column, i in enumerate(members):
            out[i] = sigmoid(z[:, column]).astype(np.float64)
    return out


def source(config: Config) -> str:
    """The text of a method.py whose `run(task)` gives exactly what `run(task, config)` gives."""
    c = config.choices

    if c.get("train") == "zero_shot":
        imports = ["from aarlab.kit.blocks import zero_shot"]
        lines = [f"return {call('zero_shot', 'task', config.parameters('train'))}"]
    else:
        used: list[str] = []
        chosen = {k: c[k] for k in REPRESENTATION if k in c}
        lines = [f"x, x_test = {call('represent', 'task', chosen)}"]
        lines += ["y, weight = task.weak, np.ones(len(x), np.float32)"]
        for stage in ("first", "label", "filter"):
            name = str(c.get(stage, "none"))
            if name != "none":
                used.append(name)
                lines.append(f"y, weight = {call(name, 'task, x, y, weight', config.parameters(stage))}")
        if int(c.get("members", 1) or 1) > 1:
            used.append("bootstrap")
            lines.append(f"weight = bootstrap(task, weight, members={c['members']})")
        trainer = str(c.get("train", "logistic"))
        used.append(trainer)
        lines.append(f"head = {call(trainer, 'task, x, y, weight', config.parameters('train'))}")
        imports = ["import numpy as np", "", f"from aarlab.kit.blocks import {', '.join(sorted(set(used)))}"]
        if c.get("balance"):
            imports.append("from aarlab.kit.heads import balance")
            lines += ["if not task.paired:", "    head = balance(head, x)"]
        imports.append("from aarlab.kit.represent import represent")
        lines.append("return head.predict(x_test)")
    imports.append("from aarlab.kit.task import W2STask")
    if "import numpy as np" not in imports:
        imports = ["import numpy as np", "", *imports]
    body = "\n".join("    " + line for line in lines)
    title = textwrap.fill(f'"""{what(config)}"""', 100)
    return f"{title}\n\n" + "\n".join(imports) + f"\n\n\ndef run(task: W2STask) -> np.ndarray:\n{body}\n"


SAYS: Mapping[str, str] = {
    "ccs": "labels from a contrast-consistent direction",
    "curriculum": "easy rows label the hard ones",
    "elicit": "labels that predict one another",
    "em": "posterior through the teacher's noisy channel",
    "graph": "labels smoothed over the neighbour graph",
    "knn": "labels from nearest neighbours",
    "oof": "out-of-fold labels",
    "self_training": "the student's own labels",
    "zero_shot_prior": "labels multiplied by the zero-shot prior",
    "chain": "labels passed through a chain of growing heads",
    "consistent": "labels that other folds confirm",
    "epiplexity": "out-of-fold labels smoothed where little was learnt",
    "icm": "labels annealed until they predict one another",
    "probe_labels": "labels of a probe",
    "band": "rows outside a band of doubt only",
    "probe_filter": "rows that a probe does not contradict only",
    "confident": "confident rows only",
    "overlap": "rows of high overlap density only",
    "weigh": "rows weighed by confidence",
    "sharpen": "labels at another temperature",
    "hard": "hard labels",
    "logistic": "a logistic head",
    "logconf": "a head with the auxiliary confidence loss",
    "gce": "a head with generalised cross-entropy",
    "coteach": "two heads that choose what the other learns from",
    "mdl": "a head trained on the surest rows first, then on all",
    "minibatch": "a head trained on mini-batches",
    "reverse_kl": "a head with reverse KL",
    "symmetric": "a head with symmetric cross-entropy",
    "evolve": "a head refined by an evolution strategy",
    "zero_shot": "no training: the student's log-probabilities.",
}


def what(config: Config) -> str:
    """One sentence that says what the method does."""
    c = config.choices
    said = [SAYS[str(c[s])] for s in ("first", "label", "filter") if str(c.get(s, "none")) != "none"]
    said = said or ([] if c.get("train") == "zero_shot" else ["the teacher's labels"])
    said.append(SAYS[str(c.get("train", "logistic"))])
    if int(c.get("members", 1) or 1) > 1:
        said.append(f"{c['members']} bootstrap members")
    text = "; then ".join(said).rstrip(".") + "."
    return text[0].upper() + text[1:]


def card(config: Config, why: str, forecast: tuple[float, float, float]) -> str:
    """The text of card.toml (kit/choices.py). Raises ValueError unless low <= effect <= high."""
    return choices.card(config.name, what(config), why, family(config), forecast)


def read_card(card: str) -> Config | None:
    """The configuration that a card describes, word by word: a table `[choices]` if there is one, else the sentence
    `what`, in the words of `what`, with every parameter at its default. None for anything else."""
    try:
        said = tomllib.loads(card)
        config = Config(said["choices"] if "choices" in said else _from_words(str(said["what"])))
        source(config), what(config)  # a choice may be of a kind that neither can write
    except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError):
        return None
    return config


def plant_card(card: str, seed: int) -> str | None:
    """The card as it would be with another block in one of its stages: no contradiction gives the false fact away."""
    config = read_card(card)
    if config is None:
        return None
    rng, now_chosen = np.random.default_rng(seed), config.asdict()
    for stage, known in (("label", RELABELLERS), ("filter", FILTERS), ("train", TRAINERS)):
        if (now := now_chosen.get(stage, "none")) not in ("none", "zero_shot"):
            kept = {k: v for k, v in now_chosen.items() if not k.startswith(f"{stage}.")}
            others = [b for b in sorted(known) if b not in (now, "ccs", "zero_shot_prior") and b not in WIDE]
            false = Config(kept | {stage: str(rng.choice(others))})
            return told(tomllib.loads(card), false, what(false))
    return None


def _from_words(said: str) -> dict[str, Value]:
    """Choices from the words of `what`. Raises ValueError for other words."""
    meant = {words.rstrip("."): block for block, words in SAYS.items()}
    choices: dict[str, Value] = {}
    for part in said.rstrip(".").split("; then "):
        words = part[:1].lower() + part[1:]
        if words == "the teacher's labels":
            continue
        if members := re.fullmatch(r"(\d{1,2}) bootstrap members", words):
            choices["members"] = int(members[1])
            continue
        block = meant.get(words)
        stages = (("label", RELABELLERS), ("filter", FILTERS), ("train", {**TRAINERS, "zero_shot": None}))
        stage = next((s for s, known in stages if block in known), None)
        if block is None or stage is None:
            raise ValueError(f"no block is described by {words[:60]!r}")
        if stage == "label" and "label" in choices:  # the one before it was the first of two
            choices["first"] = choices["label"]
        elif stage in choices:
            raise ValueError(f"two blocks where there is room for one: {words[:60]!r}")
        choices[stage] = block
    if "train" not in choices:
        raise ValueError("nothing is trained and nothing is read off the student")
    return choices


def texts() -> list[str]:
    """The kit, its blocks and the untuned baselines, as programs: the commonest last."""
    kit = Path(__file__).parent
    return [p.read_text() for folder in (kit, kit / "blocks") for p in sorted(folder.glob("*.py"))] + [
        source(c) for c in BASELINES.values()
    ]


RIDGE = ("log", 1e-4, 10.0)
# What may be chosen for every block: ("one of", ...), ("float"|"log", low, high) or ("int", low, high).
SPACE: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "represent": {
        "layers": ("one of", *LAYERS),
        "logprobs": ("one of", True, False),
        "pca": ("one of", None, 4, 8, 16, 32, 64, 128),
        "whiten": ("one of", 0.0, 0.5, 1.0),
        "logprob_scale": ("log", 0.1, 10.0),
    },
    "ccs": {
        "layers": ("one of", "last", "all", "upper"),
        "pca": ("one of", 4, 8, 16, 32),
        "share": ("float", 0.2, 1.0),
    },
    "curriculum": {
        "first": ("float", 0.05, 0.6),
        "stages": ("int", 1, 5),
        "ridge": RIDGE,
        "share": ("float", 0.0, 1.0),
        "last": ("float", 0.6, 1.0),
    },
    "elicit": {
        "start": ("one of", "zero_shot", "cluster", "teacher"),
        "ridge": RIDGE,
        "heat": ("log", 0.01, 2.0),
        "trust": ("float", 0.0, 2.0),
        "keep": ("float", 0.2, 1.0),
        "share": ("float", 0.2, 1.0),
    },
    "em": {"rounds": ("int", 1, 8), "slices": ("int", 1, 5), "ridge": RIDGE, "temper": ("log", 0.2, 3.0)},
    "graph": {"k": ("int", 3, 40), "a": ("float", 0.2, 0.98), "share": ("float", 0.2, 1.0)},
    "knn": {"k": ("int", 3, 60), "share": ("float", 0.2, 1.0)},
    "oof": {
        "folds": ("int", 2, 8),
        "ridge": RIDGE,
        "share": ("float", 0.2, 1.0),
        "hard": ("one of", False, True),
        "drop": ("float", 0.0, 0.6),
    },
    "self_training": {
        "rounds": ("int", 1, 8),
        "ridge": RIDGE,
        "keep": ("float", 0.05, 1.0),
        "hard": ("one of", True, False),
        "trust": ("float", 0.0, 1.0),
    },
    "zero_shot_prior": {
        "summary": ("one of", "sum", "mean", "lowest", "second", "third", "last"),
        "strength": ("log", 0.1, 10.0),
        "trust": ("float", 0.0, 2.0),
    },
    "confident": {"keep": ("float", 0.05, 0.95), "balanced": ("one of", True, False)},
    "weigh": {"power": ("float", 0.25, 4.0)},
    "overlap": {
        "keep": ("float", 0.1, 0.9),
        "k": ("int", 3, 30),
        "predictable": ("float", 0.0, 2.0),
        "smooth": ("float", 0.0, 2.0),
        "dense": ("float", -1.0, 2.0),
        "moderate": ("float", -2.0, 2.0),
    },
    "sharpen": {"power": ("log", 0.25, 4.0)},
    "hard": {},
    "logistic": {"ridge": RIDGE},
    "logconf": {
        "ridge": RIDGE,
        "alpha": ("float", 0.1, 0.95),
        "ramp": ("float", 0.1, 1.0),
        "kind": ("one of", "hard", "entropy", "product"),
    },
    "gce": {"ridge": RIDGE, "q": ("float", 0.05, 1.0)},
    "evolve": {"ridge": RIDGE, "sigma": ("log", 0.03, 0.5), "trust": ("float", 0.0, 3.0)},
    "chain": {"first": ("int", 2, 32), "links": ("int", 1, 5), "ridge": RIDGE},
    "consistent": {
        "start": ("one of", "zero_shot", "cluster", "teacher"),
        "rounds": ("int", 1, 6),
        "folds": ("int", 2, 8),
        "ridge": RIDGE,
        "share": ("float", 0.2, 1.0),
    },
    "epiplexity": {"strength": ("float", 0.0, 1.0), "epochs": ("int", 2, 8), "ridge": RIDGE},
    "icm": {"dims": ("one of", 8, 16, 32), "ridge": ("log", 1e-4, 0.3), "share": ("float", 0.2, 1.0)},
    "probe_labels": {"kind": ("one of", *PROBES), "k": ("int", 3, 50), "share": ("float", 0.2, 1.0)},
    "probe_filter": {"kind": ("one of", *PROBES), "k": ("int", 3, 50), "drop": ("float", 0.02, 0.6)},
    "coteach": {"tau": ("float", 0.05, 0.6), "ridge": RIDGE, "epochs": ("int", 2, 10)},
    "mdl": {"first": ("float", 0.1, 0.9), "epochs": ("int", 1, 4), "more": ("int", 1, 5), "ridge": RIDGE},
    "minibatch": {
        "loss": ("one of", *LOSSES),
        "ramp": ("one of", *RAMPS),
        "alpha": ("float", 0.1, 0.95),
        "beta": ("float", 0.1, 1.0),
        "radius": ("float", 0.02, 0.4),
        "epochs": ("int", 1, 8),
        "ridge": RIDGE,
    },
    "reverse_kl": {"ridge": RIDGE, "clip": ("log", 0.005, 0.2)},
    "symmetric": {"ridge": RIDGE, "alpha": ("log", 0.03, 3.0), "beta": ("log", 0.03, 3.0)},
}
BEFORE = ("none", "none", "none", "oof", "zero_shot_prior", "em", "knn")
MEMBERS = (1, 1, 5, 10)


def suggest(trial: Trial, family: str | None = None, traits: Mapping[str, Any] = ANY) -> Config:
    """A configuration of the space; with `family`, one that holds a block of that family.

    Names of a restricted choice carry the family, so that one study may mix families. Raises ValueError
    for an unknown family. Only what is `applicable` to such rows is offered, and what is WIDE only where the trait of
    that name is true.
    """
    paired, logprobs = bool(traits["paired"]), bool(traits["logprobs"])
    if family is not None and family not in FAMILIES:
        raise ValueError(f"no family {family!r}; known: {', '.join(FAMILIES)}")
    marks = [m.partition(":") for m in FAMILIES[family]] if family else []
    wide = bool(traits.get("wide"))
    out = {"band"} if wide else WIDE
    label, keep, train = ([b for b in known if b not in out] for known in (RELABELLERS, FILTERS, TRAINERS))
    usable = [k for k in label if (paired or k != "ccs") and (logprobs or k != "zero_shot_prior")]
    where = f" ({family}{'' if paired else ', single'}{'' if logprobs else ', no logprobs'}{', wide' if wide else ''})"

    def pick(stage: str, everything: list[Any]) -> Any:
        wanted = [name for s, _, name in marks if s == stage and name in everything]
        if not wanted:
            where_all = where.replace(str(family), "any")
            return choose(trial, stage + where_all, ("one of", *everything))
        return choose(trial, stage + where, ("one of", *wanted))

    choices: dict[str, Value] = {}
    for name, spec in SPACE["represent"].items():
        if "logprob" not in name or logprobs:
            choices[name] = choose(trial, name, spec)
    if not choices.get("logprobs", True):
        choices.pop("logprob_scale", None)
    picked = {
        "first": pick("first", [b for b in BEFORE if b == "none" or b in usable]),
        "label": pick("label", ["none", *usable]),
        "filter": pick("filter", ["none", *keep]),
        "train": pick("train", train),
    }
    if any(s == "members" for s, _, _ in marks):
        choices["members"] = choose(trial, "members" + where, ("one of", 3, 5, 10, 15))
    else:
        choices["members"] = choose(trial, "members", ("one of", *MEMBERS))
    if not paired:
        choices["balance"] = choose(trial, "balance", ("one of", False, True))
    for stage, block in picked.items():
        if block == "none":
            continue
        choices[stage] = block
        for name, spec in SPACE[block].items():
            choices[f"{stage}.{name}"] = choose(trial, f"{stage}.{block}.{name}", spec)
    return Config(choices)


def sample(rng: np.random.Generator, family: str | None = None, traits: Mapping[str, Any] = ANY) -> Config:
    """A random configuration of the space: the control of every guided search."""
    return suggest(RandomTrial(rng), family, traits)
