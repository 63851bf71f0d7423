"""Whether parts of the data count alike whatever the outputs are: outputs of many sizes and signs, for a few labels.

A mean over what is not zero, a clamp, or weights by how sure the outputs are make a loss that is like a mean for some
outputs and not for others. Few samples show it best, as one of them is much of a part, and they take little time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from typing import NamedTuple

import torch
from torch import Tensor

PARTS = ((2, 2), (2, 3), (4, 2))
"""Samples of two parts that are put together."""


class Kind(NamedTuple):
    """How outputs are made up: those of some samples times ``of_samples``, and noise of a size.

    Attributes
    ----------
    of_samples : float
    noise : float
    signed : bool
        Whether the noise is of either sign, and not in [0, 1) times its size.
    """

    of_samples: float
    noise: float
    signed: bool


WITHIN = tuple(Kind(1 - noise, noise, False) for noise in (0.0, 0.4, 1.0))
"""These stay within most domains."""

BEYOND = (
    *(Kind(0.0, size, True) for size in (0.1, 1.0, 10.0, 100.0)),
    *(Kind(scale, 0.1, True) for scale in (-1.0, 10.0, -10.0, 100.0, -100.0)),
)
"""These do not; a loss that raises or is not finite there says nothing."""


SINGLE = 10.0
"""How large outputs are made where a loss is computed in single precision."""


def even_places(values: Tensor, count: int) -> Tensor:
    """At most ``count`` places along the first dimension, from all over it.

    Examples
    --------
    >>> even_places(torch.zeros(9), 3).tolist()
    [0, 4, 8]
    """
    return torch.linspace(0, len(values) - 1, min(count, len(values))).long().to(values.device)


def pick_labels(labels: Sequence[Tensor], count: int, turn: int) -> Tensor:
    """Labels from all shards, and from all over each; others for another turn."""
    each = -(-count // len(labels)) + turn
    found = torch.cat([one[even_places(one, each).roll(turn)] for one in labels])
    numbers = list(islice(cycle(range(len(found))), turn, turn + count))
    return found[torch.tensor(numbers, device=found.device)]


def output_kinds(device: torch.device, double: bool) -> Iterator[Kind]:
    """Kinds of outputs that a loss can be tried with."""
    yield from WITHIN
    if device.type == "cpu":  # elsewhere what is out of a loss's domain may end the process
        # In single precision exponentials of the largest would leave its range.
        yield from 2 * [kind for kind in BEYOND if double or max(abs(kind.of_samples), kind.noise) <= SINGLE]
