"""Method blocks: one idea a file, each citing its paper. See `base` for what a relabeller and a trainer
are."""

from aarlab.kit.blocks.ccs import ccs
from aarlab.kit.blocks.confident import confident, weigh
from aarlab.kit.blocks.curriculum import curriculum
from aarlab.kit.blocks.elicit import elicit
from aarlab.kit.blocks.em import em
from aarlab.kit.blocks.ensemble import bootstrap
from aarlab.kit.blocks.evolve import evolve
from aarlab.kit.blocks.gce import gce
from aarlab.kit.blocks.graph import graph
from aarlab.kit.blocks.knn import knn
from aarlab.kit.blocks.logconf import logconf
from aarlab.kit.blocks.naive import hard, logistic, sharpen
from aarlab.kit.blocks.oof import oof
from aarlab.kit.blocks.overlap import overlap
from aarlab.kit.blocks.self_training import self_training
from aarlab.kit.blocks.zero_shot import zero_shot, zero_shot_prior

__all__ = [
    "bootstrap",
    "ccs",
    "confident",
    "curriculum",
    "elicit",
    "em",
    "evolve",
    "gce",
    "graph",
    "hard",
    "knn",
    "logconf",
    "logistic",
    "oof",
    "overlap",
    "self_training",
    "sharpen",
    "weigh",
    "zero_shot",
    "zero_shot_prior",
]
