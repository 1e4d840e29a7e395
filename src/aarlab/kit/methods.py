"""Every weak-to-strong method of the literature that can be run on a task, by name: its formula, its paper, and what it
is here. Most are configurations of the zoo on frozen features; those that move the student's weights are marked `full`.

y: the teacher's P(y = 1); p: the student's, z its logit; s: share of training done; c = alpha min(1, s / .1).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aarlab.kit import blocks, zoo
from aarlab.kit.adapter import evolve_adapter
from aarlab.kit.choices import Value
from aarlab.kit.finetune import finetune
from aarlab.kit.represent import represent
from aarlab.kit.task import W2STask

Play = Callable[[W2STask], NDArray[np.float64]]


@dataclass(frozen=True)
class Method:
    """formula, paper: as a reader would look for them; config: its choices in the zoo, or `play` if it has none."""

    formula: str
    paper: str
    config: zoo.Config | None = None
    play: Play | None = None

    @property
    def full(self) -> bool:
        """Whether it trains more than a head: minutes, not milliseconds."""
        return self.config is None

    def applicable(self, traits: Mapping[str, Any]) -> bool:
        return self.config is None or zoo.applicable(self.config, traits)

    def run(self, task: W2STask) -> NDArray[np.float64]:
        """(n_test,) P(y = 1). Raises ValueError where it can't be run on such a task, and why."""
        if self.config is not None:
            return zoo.run(task, self.config)
        assert self.play is not None
        return self.play(task)


def _zoo(formula: str, paper: str, **choices: Value) -> Method:
    return Method(formula, paper, zoo.Config({k.replace("__", "."): v for k, v in choices.items()}))


def _known(name: str, formula: str, paper: str) -> Method:
    return Method(formula, paper, zoo.BASELINES[name])


def _finetuned(relabel: Callable[..., Any] | None) -> Play:
    def play(task: W2STask) -> NDArray[np.float64]:
        y, weight = task.weak, np.ones(len(task.weak), np.float32)
        if relabel is not None:
            y, weight = relabel(task, represent(task)[0], y, weight)
        return finetune(task, y, weight)

    return play


BURNS, ELEUTHER, AAR = "Burns et al. 2023", "EleutherAI/w2s 2024", "AAR study 2026"
WEN, TOPO = "Wen et al. 2025, 2506.10139", "Wu et al. 2020; EleutherAI/w2s"

METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "naive_hard": _known("naive_hard", "CE(1[y > 1/2], p)", BURNS),
        "naive_soft": _known("naive_soft", "CE(y, p), which is KL(y || p) plus a constant", BURNS),
        "confident_only": _known("confident_only", "the half of the rows with the largest |y - 1/2|", AAR),
        "confident_band": _zoo("rows outside .25 <= y <= .75", AAR, filter="band"),
        "logconf": _known("logconf", "target (1-c) y + c 1[p > t], full batch, refitted in stages", BURNS),
        "logconf_paper": _zoo(
            "the same on mini-batches, t a batch quantile, c rising in a line over a tenth of the steps", BURNS,
            train="minibatch", train__loss="logconf", train__ramp="paper",
        ),
        "logconf_code": _zoo(
            "the same with c = alpha s for s <= .1, then alpha at once", "openai/weak-to-strong, loss.py",
            train="minibatch", train__loss="logconf", train__ramp="code",
        ),
        "product": _zoo(
            "target prop. to p y", "openai/weak-to-strong, loss.py", train="minibatch", train__loss="product",
        ),
        "entropy": _zoo("target (1-c) y + c p", ELEUTHER, train="minibatch", train__loss="entropy"),
        "window": _zoo("CE(y, p) where max(p, 1-p) < .65", ELEUTHER, train="minibatch", train__loss="window"),
        "window_middle": _zoo(
            "the same with the radius the median of |y - 1/2|", ELEUTHER,
            train="minibatch", train__loss="window", train__radius=None,
        ),
        "gce": _zoo("(1 - p_y^q) / q, q = .7", "Zhang & Sabuncu 2018", train="gce"),
        "symmetric_ce": _zoo("alpha CE(y, p) + beta CE(p, y), log 0 = -4", "Wang et al. 2019", train="symmetric"),
        "reverse_kl": _zoo("KL(p || y)", "Minka 2005", train="reverse_kl"),
        "co_teaching": _zoo("two heads, each on the rows of its peer's least loss", "Han et al. 2018", train="coteach"),
        "self_training": _known(
            "self_training", "y <- 1[p > 1/2] on the surest half, 3 rounds", "Scudder 1965; Lee 2013",
        ),
        "born_again": _zoo(
            "y <- p on all rows, 3 generations", "Furlanello et al. 2018",
            label="self_training", label__hard=False, label__keep=1.0,
        ),
        "out_of_fold": _known(
            "oof", "y <- p of a head that never saw the row, 5 folds", "Stone 1974; Northcutt et al. 2021",
        ),
        "chain": _zoo("y <- p of heads on 8, then more axes", f"{BURNS}, bootstrapping", label="chain"),
        "probe_knn": _known("knn", "y <- mean y of the 20 nearest, self left out", ELEUTHER),
        "filter_knn": _zoo(
            "drop the tenth with the largest |knn - y|", ELEUTHER, filter="probe_filter", filter__kind="knn",
        ),
        "probe_logistic": _zoo("y <- p of BCE + 1e-3 |v|^2", ELEUTHER, label="probe_labels"),
        "filter_logistic": _zoo("drop the tenth with the largest |p - y|", ELEUTHER, filter="probe_filter"),
        "probe_topo": _zoo(
            "y <- mean y of the nearest rows in the largest strong component of a class", TOPO,
            label="probe_labels", label__kind="topo",
        ),
        "filter_topo": _zoo(
            "keep those components, less the rows furthest from their neighbours' mean", TOPO,
            filter="probe_filter", filter__kind="topo",
        ),
        "graph": _zoo("F = (1-a)(I - aS)^-1 (y - 1/2)", "Zhou et al. 2004", label="graph"),
        "ccs": _known("ccs", "min (p+ + p- - 1)^2 + min(p+, p-)^2, the teacher's sign", "Burns et al. 2022"),
        "ccs_evolve": _zoo("CCS labels, then an evolution strategy on the head", AAR, label="ccs", train="evolve"),
        "icm": _zoo("max a mean log P(y_i | others) - I, annealed from 8 random labels", WEN, label="icm"),
        "elicitation": _known("elicitation", "the same from zero-shot labels, all rows annealed at once", WEN),
        "ue_zero_shot": _zoo(
            "y <- 1[zero-shot score > 0], then a head", AAR,
            label="zero_shot_prior", label__trust=0.0, filter="hard",
        ),
        "ue_folds": _zoo("zero-shot labels that heads on the other folds confirm, 3 rounds", WEN, label="consistent"),
        "zero_shot": _known("zero_shot", "s(log-probability), no training", "Brown et al. 2020"),
        "em": _zoo("q(b) prop. to p(b) C[y|b], C re-estimated by slice", "Dawid & Skene 1979", label="em"),
        "overlap": _zoo("the half of highest overlap density", "Shin et al. 2024, 2412.03881", filter="overlap"),
        "mdl": _zoo("2 epochs on the surest half, 3 on all at half the rate", AAR, train="mdl"),
        "epiplexity": _zoo(
            "out-of-fold y smoothed where the loss fell least", "Finzi et al. 2026, 2601.03220", label="epiplexity",
        ),
        "evolve_head": _zoo(
            "mean tanh|z| + (2y-1) tanh z by antithetic perturbation of a head", "Salimans et al. 2017", train="evolve",
        ),
        "ensemble": _known("ensemble", "mean z of 10 heads on Bayesian bootstraps", "Breiman 1996; Rubin 1981"),
        "finetune": Method("CE(y, p), every weight of the student moves", BURNS, play=_finetuned(None)),
        "finetune_confident": Method("the same on the surest half", AAR, play=_finetuned(blocks.confident)),
        "finetune_em": Method("the same on the labels of em", "Dawid & Skene 1979", play=_finetuned(blocks.em)),
        "evolve_adapter": Method(
            "evolve_head's fitness on a rank-4 adapter of the last block, 3 members trimmed",
            f"Salimans et al. 2017; {AAR}",
            play=lambda task: evolve_adapter(task, task.weak),
        ),
    }
)  # fmt: skip

# What is asked for under these names cannot be had from a task without pretending.
ABSENT: Mapping[str, str] = MappingProxyType(
    {
        "kl": "KL(y || p) differs from naive_soft's loss by the entropy of y, which no student changes: run naive_soft",
        "few_shot": "a student of frozen features, or one this small, has no context to put examples in; icm predicts "
        "every label from the others by regression instead of a prompt",
        "ensemw2s": "EnsemW2S (2410.04571) boosts several weak teachers on rows with true labels: a task has one "
        "teacher and no true label",
        "raven": "RAVEN (2510.21332) weighs several weak teachers: a task has one",
        "critic": "a critic is rewarded when the weak judge changes its verdict on reading the critique: a task holds "
        "the teacher's answers, not the teacher, so nobody can be asked again",
    }
)
