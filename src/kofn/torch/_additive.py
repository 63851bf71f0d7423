"""What the loss of all the data has to do with the losses of its shards: measured on the loss itself.

A gradient of all the data is a sum over shards, Σ s_k ∇L_k, if the loss is a sum over samples (s_k = 1), their mean
(s_k = n_k / n), or a mean in which samples count differently, as by class weights or ``ignore_index``. Which of them
``loss`` is, and what s_k is, shows in its gradient by outputs: of two pieces of data put together it is in each piece a
multiple of the piece's own gradient, and the same multiple whatever the outputs are. All labels are looked at, with
outputs that are made up, so it takes about as long as a few losses of all the data, and the model is not asked.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from torch.utils._pytree import tree_flatten, tree_unflatten

import torch
from torch import Tensor, nn

from ..checks import refusal
from ..errors import ArgumentError
from ._graphs import leaves
from ._ranges import PARTS, WITHIN, Kind, output_kinds, pick_labels

CALL = "kofn.torch.DataParallel"

Loss = Callable[[Any, Tensor], Tensor]

COARSE = 0.1
"""A loss that can be measured to so much only tells nothing."""

REFERENCE = 4
"""Samples that every shard is put together with."""


class Shares(NamedTuple):
    """How the losses of shards make the loss of all the data.

    Attributes
    ----------
    weights : list of float
        s_k; 0.0 where no sample of the shard counts.
    total : bool
        Whether the loss is a sum, so that a part of a shard has a part of its loss.
    """

    weights: list[float]
    total: bool


class Piece(NamedTuple):
    """Made-up outputs of some samples, and their labels."""

    outputs: list[Tensor]
    labels: Tensor

    def with_(self, other: Piece) -> Piece:
        """Both, one after the other."""
        outputs = [torch.cat(both) for both in zip(self.outputs, other.outputs, strict=True)]
        return Piece(outputs, torch.cat([self.labels, other.labels]))


class Slope(NamedTuple):
    """A loss, and its gradient by the outputs, (samples, numbers)."""

    value: float
    gradient: Tensor

    @classmethod
    def of(cls, value: Tensor, gradients: Iterable[Tensor]) -> Slope:
        """Of a loss and its gradients by several outputs, complex ones as pairs of numbers."""
        parts = [torch.view_as_real(one.resolve_conj()) if one.is_complex() else one for one in gradients]
        return cls(float(value.detach()), torch.cat([part[:, None].flatten(1) for part in parts], 1))

    @property
    def size(self) -> float:
        """Norm of the gradient; NaN where it or the loss is not finite."""
        size = float(torch.linalg.vector_norm(self.gradient))
        return size if math.isfinite(size) and math.isfinite(self.value) else math.nan

    def multiple(self, other: Slope, tolerance: float) -> float | None:
        """The number that this gradient is ``other``'s times; None if there is none, NaN if any would do."""
        if not self.size:
            return 0.0 if math.isnan(other.size) else (None if other.size else math.nan)
        if not other.size or math.isnan(other.size):
            return None
        found = float((self.gradient * other.gradient).sum()) / other.size**2
        left = float(torch.linalg.vector_norm(self.gradient - found * other.gradient))
        return found if found > 0 and left <= tolerance * self.size else None


class Meter:
    """Measures a loss, of outputs that look like some examples.

    Parameters
    ----------
    loss : callable
    examples : object
        Outputs of a few samples: a tensor, or tensors in tuples, lists and dictionaries.
    wide : bool
        In double precision; not every loss can be.
    """

    def __init__(self, loss: Loss, examples: Any, wide: bool) -> None:
        found, self._form = tree_flatten(examples)
        self._examples = [_double(one) if wide else one for one in found]
        self._loss = _double_loss(loss) if wide else loss
        self._wide = wide
        self.kind = torch.get_default_dtype()  # in which the loss was the last time; it may choose its own
        epsilon = max((torch.finfo(one.dtype).eps for one in self._examples if _real(one)), default=1.0)
        self.tolerance = epsilon**0.5 * 10

    @property
    def device(self) -> torch.device:
        """Where outputs are."""
        first: Tensor = self._examples[0]
        return first.device

    def piece(self, labels: Tensor, kind: Kind, seed: int) -> Piece:
        """Made-up outputs for labels."""
        random = torch.Generator().manual_seed(seed)
        chosen = torch.randint(len(self._examples[0]), (len(labels),), generator=random)
        outputs = []
        for one in self._examples:
            taken = one[chosen.to(one.device)]
            if _real(one):
                draw = torch.randn if kind.signed else torch.rand
                drawn = draw(taken.shape, generator=random, dtype=torch.float64).to(taken.device, taken.dtype)
                taken = taken * kind.of_samples + kind.noise * drawn
            outputs.append(taken)
        return Piece(outputs, _double(labels) if self._wide else labels)

    def slope(self, piece: Piece) -> Slope:
        """The loss of a piece and its gradient."""
        asked = [one.detach().requires_grad_(_real(one)) for one in piece.outputs]
        wanted = [one for one in asked if one.requires_grad]
        with torch.enable_grad():
            # Some losses work in place, which leaves must not see.
            outputs = tree_unflatten([1 * one if one.requires_grad else one for one in asked], self._form)
            value = self._loss(outputs, piece.labels)
            _check_leaves(value, wanted)
            found = torch.autograd.grad(value, wanted, allow_unused=True, materialize_grads=True)
        self.kind = value.dtype
        return Slope.of(value, found)

    def counts(self, first: Piece, second: Piece) -> tuple[float, float] | None:
        """How much the losses of two pieces count in that of both; None if no numbers do, NaN where any would."""
        n = len(first.labels)
        both, one, two = self.slope(first.with_(second)), self.slope(first), self.slope(second)
        scale = float(one.gradient.abs().max()) if one.gradient.numel() else 0.0  # squares stay in the range
        if 0 < scale < math.inf:
            both, one, two = (Slope(each.value / scale, each.gradient / scale) for each in (both, one, two))
        if not one.size or math.isnan(one.size) or math.isnan(both.size):
            return math.nan, math.nan
        of_one = Slope(both.value, both.gradient[:n]).multiple(one, self.tolerance)
        of_two = Slope(both.value, both.gradient[n:]).multiple(two, self.tolerance)
        if of_one is None or of_two is None:
            return None
        if not math.isnan(of_two):
            parts = [of_one * one.value, of_two * two.value if of_two else 0.0]
            if abs(both.value - sum(parts)) > self.tolerance * (abs(both.value) + sum(map(abs, parts))):
                return None
        return of_one, of_two


def measure_shares(loss: Loss, examples: Any, labels: Sequence[Tensor]) -> Shares:
    """Measure how the losses of shards make the loss of all the data.

    Parameters
    ----------
    loss : callable
    examples : object
        Outputs of a few samples.
    labels : sequence of tensors
        Of each shard.

    Raises
    ------
    ArgumentError
        It is neither a sum over samples nor a mean of them.

    Examples
    --------
    >>> labels = [torch.tensor([0, 1, 1]), torch.tensor([2, 0])]
    >>> measure_shares(nn.CrossEntropyLoss(), torch.randn(4, 3), labels).weights
    [0.6, 0.4]
    >>> some = measure_shares(nn.CrossEntropyLoss(ignore_index=0), torch.randn(4, 3), labels)
    >>> [round(weight, 9) for weight in some.weights]
    [0.666666667, 0.333333333]
    >>> measure_shares(nn.CrossEntropyLoss(reduction="sum"), torch.randn(4, 3), labels)
    Shares(weights=[1.0, 1.0], total=True)
    """
    meter = _meter(loss, examples, labels)
    for reference in _references(labels):
        try:
            found = [_measure_counts(meter, reference, one, number) for number, one in enumerate(labels)]
        except Exception as error:  # PyTorch's own, and the user's
            error.add_note(f"{CALL} measures the loss on parts of the data, the smallest of {len(reference)} samples.")
            raise
        if not all(math.isnan(of_one) for of_one, _ in found):
            _check_ranges(meter, labels)
            return _conclude(found, [len(one) for one in labels], len(reference), meter.tolerance)
    _check_ranges(meter, labels)
    must, remedy = "have a finite gradient by the outputs that is not all zero", "check the labels, and what it clamps"
    got = "NaN or inf" if math.isnan(meter.slope(meter.piece(labels[0], WITHIN[1], 0)).size) else "zeros"
    raise refusal(CALL, "loss", must, got, remedy)


def _meter(loss: Loss, examples: Any, labels: Sequence[Tensor]) -> Meter:
    """In double precision if the loss can be had in it."""
    meter = Meter(loss, examples, wide=True)
    try:
        meter.slope(meter.piece(labels[0], WITHIN[0], 0))
    except (RuntimeError, TypeError):
        meter = Meter(loss, examples, wide=False)
        meter.slope(meter.piece(labels[0], WITHIN[0], 0))  # what it raises now is about the user's own types
    meter.tolerance = max(meter.tolerance, torch.finfo(meter.kind).eps ** 0.5 * 10)
    if meter.tolerance > COARSE:
        must, remedy = "be computable in single or double precision to be measured", "give outputs of single precision"
        raise refusal(CALL, "loss", must, "half precision alone", remedy)
    return meter


def _references(labels: Sequence[Tensor]) -> Iterator[Tensor]:
    """Labels that every shard is put together with: a few of all shards, or where they do not count, a whole shard."""
    yield torch.cat([one[: max(1, REFERENCE // len(labels))] for one in labels[:REFERENCE]])
    yield from labels


def _measure_counts(meter: Meter, reference: Tensor, labels: Tensor, number: int) -> tuple[float, float]:
    """How much a reference and a shard count in the loss of both, whatever the outputs."""
    known: list[tuple[float, float]] = []
    for draw, kind in enumerate(WITHIN):
        seed = 2 * (number * len(WITHIN) + draw)
        _learn(known, meter, meter.piece(reference, kind, seed), meter.piece(labels, kind, seed + 1))
    return next((counts for counts in known if not math.isnan(counts[1])), known[0] if known else (math.nan, math.nan))


def _check_ranges(meter: Meter, labels: Sequence[Tensor]) -> None:
    """Refuse a loss in which parts count differently for some outputs."""
    for number, sizes in enumerate(PARTS):
        chosen = pick_labels(labels, sum(sizes), number)
        known: list[tuple[float, float]] = []
        for seed, kind in enumerate(output_kinds(meter.device, meter.kind == torch.float64)):
            first, second = chosen[: sizes[0]], chosen[sizes[0] :]
            numbered = 6 * seed + 2 * number
            pieces = meter.piece(first, kind, numbered), meter.piece(second, kind, numbered + 1)
            try:
                _learn(known, meter, *pieces)
            except ArgumentError:
                raise
            except Exception:  # out of its domain, or too few samples for it: nothing is told
                continue


def _learn(known: list[tuple[float, float]], meter: Meter, first: Piece, second: Piece) -> None:
    """Measure how much two parts count for other outputs; refuse where it is not as much as was known."""
    counts = meter.counts(first, second)
    if counts is None:
        raise _no_sum("another gradient for data put together than for its parts")
    if any(_differ(counts, other, meter.tolerance) for other in known):
        raise _no_sum("parts that count differently from outputs to outputs")
    if not math.isnan(counts[0]):
        known.append(counts)


def _differ(one: tuple[float, float], other: tuple[float, float], tolerance: float) -> bool:
    return any(abs(a - b) > tolerance * (a + b) for a, b in zip(one, other, strict=True))  # NaN does not


def _conclude(found: list[tuple[float, float]], sizes: list[int], size: int, tolerance: float) -> Shares:
    """From what was measured to s_k: exactly that of a sum or a mean where it is one."""
    if any(math.isnan(of_one) for of_one, _ in found):
        raise _no_sum("a gradient that is not finite for a part of the data")
    if all(abs(of_one - 1) <= tolerance and not abs(of_two - 1) > tolerance for of_one, of_two in found):
        return Shares([1.0] * len(found), True)
    if any(abs(of_one + of_two - 1) > tolerance for of_one, of_two in found):  # NaN is not
        raise _no_sum("parts that count neither as in a sum nor as in a mean")
    weights = [(1 - of_one if math.isnan(of_two) else of_two) / of_one for of_one, of_two in found]
    if all(abs(weight * size - count) <= tolerance * count for weight, count in zip(weights, sizes, strict=True)):
        weights = [float(count) for count in sizes]
    whole = sum(weights)
    if not whole > 0:
        raise _no_sum("no sample that counts")
    return Shares([weight / whole for weight in weights], False)


def _no_sum(got: str) -> ArgumentError:
    must = "be a sum over samples or a (weighted) mean of them, so that losses of shards make that of all the data"
    return refusal(CALL, "loss", must, got, "use one with reduction='sum', or a single shard")


def _check_leaves(value: Any, outputs: list[Tensor]) -> None:
    """Refuse a loss with parameters of its own, of which nobody would see a gradient."""
    own = [leaf for leaf in leaves(value) if not any(leaf is one for one in outputs)]
    if own:
        must, got = "depend on parameters through outputs alone", f"one of shape {tuple(own[0].shape)} of its own"
        raise refusal(CALL, "loss", must, got, "compute that part of it in the model")


def _real(value: Any) -> bool:
    return isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex())


def _double(value: Any) -> Any:
    return value.to(torch.complex128 if value.is_complex() else torch.float64) if _real(value) else value


def _double_loss(loss: Any) -> Any:
    """A loss with the tensors that it is known to hold in double precision."""
    if isinstance(loss, nn.Module):
        return copy.deepcopy(loss).double()
    if isinstance(loss, partial):
        keywords = {name: _double(value) for name, value in loss.keywords.items()}
        return partial(_double_loss(loss.func), *map(_double, loss.args), **keywords)
    return loss
