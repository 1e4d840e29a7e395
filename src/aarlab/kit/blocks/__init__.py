"""Method blocks: one idea a file, each citing its paper. See `base` for what a relabeller and a trainer
are."""

from aarlab.kit.blocks.ccs import ccs
from aarlab.kit.blocks.chain import chain
from aarlab.kit.blocks.confident import band, confident, weigh
from aarlab.kit.blocks.consistent import consistent
from aarlab.kit.blocks.coteach import coteach
from aarlab.kit.blocks.curriculum import curriculum
from aarlab.kit.blocks.elicit import elicit
from aarlab.kit.blocks.em import em
from aarlab.kit.blocks.ensemble import bootstrap
from aarlab.kit.blocks.epiplexity import epiplexity
from aarlab.kit.blocks.evolve import evolve
from aarlab.kit.blocks.gce import gce
from aarlab.kit.blocks.graph import graph
from aarlab.kit.blocks.icm import icm
from aarlab.kit.blocks.knn import knn
from aarlab.kit.blocks.logconf import logconf
from aarlab.kit.blocks.mdl import mdl
from aarlab.kit.blocks.minibatch import minibatch
from aarlab.kit.blocks.naive import hard, logistic, sharpen
from aarlab.kit.blocks.oof import oof
from aarlab.kit.blocks.overlap import overlap
from aarlab.kit.blocks.probe import probe_filter, probe_labels
from aarlab.kit.blocks.robust import reverse_kl, symmetric
from aarlab.kit.blocks.self_training import self_training
from aarlab.kit.blocks.zero_shot import zero_shot, zero_shot_prior

__all__ = [
    "band",
    "bootstrap",
    "ccs",
    "chain",
    "confident",
    "consistent",
    "coteach",
    "curriculum",
    "elicit",
    "em",
    "epiplexity",
    "evolve",
    "gce",
    "graph",
    "hard",
    "icm",
    "knn",
    "logconf",
    "logistic",
    "mdl",
    "minibatch",
    "oof",
    "overlap",
    "probe_filter",
    "probe_labels",
    "reverse_kl",
    "self_training",
    "sharpen",
    "symmetric",
    "weigh",
    "zero_shot",
    "zero_shot_prior",
]
