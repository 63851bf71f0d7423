"""The main job: a kernel matrix and its principal components on processes that straggle and die."""

from __future__ import annotations

from .components import Components, centred, disagreement, reference, subspace_iteration
from .contest import CONTENDERS, GOOD, Contender, Outcome, compete
from .images import images
from .picture import picture
from .stage import DYING, SLOW, SLOWNESS, Stage

__all__ = [
    "CONTENDERS",
    "DYING",
    "GOOD",
    "SLOW",
    "SLOWNESS",
    "Components",
    "Contender",
    "Outcome",
    "Stage",
    "centred",
    "compete",
    "disagreement",
    "images",
    "picture",
    "reference",
    "subspace_iteration",
]
