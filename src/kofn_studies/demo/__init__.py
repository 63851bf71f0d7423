"""The main job: a kernel matrix and its principal components on processes that straggle and die."""

from __future__ import annotations

from .comparison import GOOD, METHODS, Method, MethodResult, compete
from .components import Components, centred, disagreement, reference, subspace_iteration
from .delays import DYING, SLOW, SLOWNESS, InjectedDelays
from .images import images
from .picture import picture

__all__ = [
    "DYING",
    "GOOD",
    "METHODS",
    "SLOW",
    "SLOWNESS",
    "Components",
    "InjectedDelays",
    "Method",
    "MethodResult",
    "centred",
    "compete",
    "disagreement",
    "images",
    "picture",
    "reference",
    "subspace_iteration",
]
