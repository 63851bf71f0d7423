"""Data-parallel training: workers hold shards of the data, and the sum of their gradients is coded (`kofn.sum`).

With a gradient code any n − s of n workers give the gradient of all the data, to the last bit but rounding; before
that, or past a deadline, it is estimated, with an error bar.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

import torch
from torch import Tensor, nn

from .._api._sum import CodedSum, CodeLike
from .._base._closeable import Closeable
from ..checks import function, generator, integer, named, refusal
from ..errors import TermError
from ._additive import Shares, measure_shares
from ._failures import specialise
from ._gradients import check_gradients, sparse_gradients
from ._samplewise import CALL, check_alone, check_samplewise, examples_of, samples_of
from ._shard import Layout, Shard, ShardRequest
from ._state import BACKWARD, Form, State, copy_state, set_state


class Step(NamedTuple):
    """One gradient.

    Attributes
    ----------
    loss : float
        Of all the data, estimated like the gradient.
    exact : bool
    error : float
        Expected relative error of the gradient; 0.0 when exact.
    report : Report
    """

    loss: float
    exact: bool
    error: float
    report: Any


class DataParallel(Closeable):
    """The gradient of a loss over shards of data that stay at the workers.

    Parameters
    ----------
    model : torch.nn.Module
        Its parameters, buffers, and plain attributes of its modules (whether they train, a probability) are sent with
        every step, as they are then. Buffers do not come back, so a model may not change them, and with several shards
        it has to treat each sample by itself: batch normalisation in training is refused.
    loss : callable
        ``loss(outputs, labels)``: a sum over samples, or a mean of them, also one in which they count differently, by
        class weights or ``ignore_index``. Which it is, is measured once; what is neither is refused.
    shards : sequence of (inputs, labels)
        Tensors whose first dimension counts samples; one term of the sum each. They are copied.
    workers : int, Pool, distributed.Client or list of Executor, optional
        As for `kofn.sum`.
    code : str, LinearCode or callable
        As for `kofn.sum`: "gradient" (cyclic, any n − 1 of n workers), "rep" (fractional repetition), "cyclic", …
    batch : int, optional
        Samples of each shard that a step uses, drawn anew in each; all of them by default (gradient descent).
    rng : None, int or Generator
        Draws codes and batches.

    Examples
    --------
    >>> import kofn, torch
    >>> x = torch.linspace(0, 1, 12).view(12, 1)
    >>> shards = [(x[start::4], 3 * x[start::4]) for start in range(4)]
    >>> model = torch.nn.Linear(1, 1, bias=False)
    >>> with kofn.ThreadPool(4) as pool:
    ...     with DataParallel(model, torch.nn.functional.mse_loss, shards, workers=pool, rng=0) as parallel:
    ...         step = parallel.backward()
    >>> expected = torch.mean(2 * x * (model(x) - 3 * x))
    >>> step.exact, bool(torch.isclose(model.weight.grad, expected))
    (True, True)
    """

    @named(CALL)
    def __init__(
        self,
        model: nn.Module,
        loss: Callable[[Any, Tensor], Tensor],
        shards: Sequence[tuple[Tensor, Tensor]],
        *,
        workers: Any = None,
        code: CodeLike = "gradient",
        batch: int | None = None,
        rng: Any = None,
    ) -> None:
        if batch is not None:
            integer(CALL, "batch", batch, 1, "leave it out to use all samples")
        _check_model(model)
        function(CALL, "loss", loss, "use torch.nn.functional.cross_entropy, for example")
        pairs = [(inputs.detach().clone(), labels.detach().clone()) for inputs, labels in _pairs(shards)]
        random = generator(CALL, rng)
        seed = int(random.integers(2**63))
        self._model, self._form = model, Form.of(model)
        self._private = copy.deepcopy(model).to(pairs[0][0].device)
        self._samples = samples_of([inputs for inputs, _ in pairs])
        self._alone = len(pairs) == 1
        self._steps = 0
        self._tried: dict[tuple[Any, ...], tuple[bool, ...]] = {}
        parts = _shares(self._private, loss, self._samples, [labels for _, labels in pairs], batch)
        self._total = parts.total
        terms = [Shard(self._private, loss, x, y, batch, parts, number, seed) for number, (x, y) in enumerate(pairs)]
        # Now, while no deadline runs; if it fails, a step in whose modes it still does says why.
        with suppress(Exception):
            self._sparse(copy_state(model))
        self._sum = CodedSum(terms, workers=workers, code=code, rng=random)

    @named(CALL)
    def backward(self, *, tolerance: float = 0.0, deadline: float | None = None) -> Step:
        """Add the gradient of the loss of all the data to the parameters' ``grad``, as ``loss.backward()`` does.

        PyTorch itself adds it: hooks of parameters run, and what no shard used keeps its ``grad``.

        Parameters
        ----------
        tolerance, deadline : float
            As for `kofn.sum`: enough for an estimate instead of the exact gradient.

        Raises
        ------
        ArgumentError
            In its modes of now the model mixes samples or changes its buffers, or it is another than it was.
        TermError
            A shard raised, or its gradient is not finite; also a RuntimeError, ValueError, TypeError or IndexError, if
            the shard raised one.
        NotDecodable
            Nothing arrived by the deadline; gradients are as they were.
        """
        changed = self._form.difference(Form.of(self._model))
        if changed is not None:
            must, remedy = "have the modules, hooks and shapes that it had", "make another DataParallel of it"
            raise refusal(CALL, "model", must, f"a change of {changed!r}", remedy)
        now = copy_state(self._model)
        sparse = self._sparse(now)
        layout = Layout.of(self._model, sparse)
        self._steps += 1
        request = ShardRequest(now, self._steps, sparse, torch.get_default_dtype()).pack()
        try:
            answer = self._sum(request, tolerance=tolerance, deadline=deadline)
        except TermError as error:
            raise specialise(error) from error.__cause__
        vector = np.asarray(answer.value)
        found = [pair for pair in zip(layout.parameters, layout.gradients(vector), strict=True) if pair[1] is not None]
        if found:
            torch.autograd.backward([value for value, _ in found], [gradient for _, gradient in found])
        return Step(layout.loss(vector), answer.exact, answer.error, answer.report)

    def _sparse(self, now: State) -> tuple[bool, ...]:
        """Which parameters have sparse gradients; in modes in which it was not yet, the model is tried first."""
        if not any(now.trained):
            torch.zeros(()).backward()  # type: ignore[no-untyped-call]  # PyTorch says it best
        modes = now.trained, tuple(own["training"] for own in now.settings)
        if modes not in self._tried:
            model = copy.deepcopy(self._private)
            set_state(model, now)
            if not self._alone:
                draws = check_samplewise(model, self._samples)
                check_gradients(model, self._samples, draws, scaled=not self._total)
            check_alone(model, self._samples)
            self._tried[modes] = sparse_gradients(model, self._samples)
        return self._tried[modes]

    def close(self) -> None:
        """Free the workers' memory, and end the workers if they were started here; safe to call twice."""
        self._sum.close()


def _pairs(shards: Any) -> list[tuple[Tensor, Tensor]]:
    """The shards as pairs; refuses what are none."""
    try:
        pairs = [(inputs, labels) for inputs, labels in shards]
    except (TypeError, ValueError):
        pairs = []
    for other in (one for pair in pairs for one in pair if not isinstance(one, Tensor)):
        must, remedy = "be pairs of tensors, inputs and labels", "put them into one tensor that the model takes apart"
        raise refusal(CALL, "shards", must, f"a {type(other).__name__}", remedy)
    sizes = [(inputs.shape[:1].numel(), labels.shape[:1].numel()) for inputs, labels in pairs]
    if not pairs or any(inputs != labels or not inputs for inputs, labels in sizes):
        must, remedy = "be pairs of inputs and as many labels, at least one each", "see torch.chunk"
        raise refusal(CALL, "shards", must, sizes or f"a {type(shards).__name__} of something else", remedy)
    return pairs


def _check_model(model: Any) -> None:
    """Refuse what is no model, or one that cannot be sent to workers as it is."""
    if not isinstance(model, nn.Module):
        raise refusal(CALL, "model", "be a torch.nn.Module", repr(model), "build one with torch.nn.Sequential")
    for name, value in model.named_parameters():
        if nn.parameter.is_lazy(value):
            must, remedy = "have parameters with numbers", "run a batch through it first"
            raise refusal(CALL, "model", must, f"{name!r}, which is lazy", remedy)
    for name, module in model.named_modules():
        if any(vars(module)[hooks] for hooks in BACKWARD):
            must = "have no backward hooks on modules, which would see the gradients of one shard at a worker"
            raise refusal(CALL, "model", must, f"one of {name or 'the model'!r}", "use hooks of parameters")


def _shares(model: nn.Module, loss: Any, samples: Tensor, labels: list[Tensor], batch: int | None) -> Shares:
    """How shards make the loss of all the data."""
    if len(labels) > 1:
        if any(one.shape[1:] != labels[0].shape[1:] for one in labels):
            shapes = sorted({tuple(one.shape[1:]) for one in labels})
            remedy = "pad them, and have the loss ignore the padding"
            raise refusal(CALL, "shards", "have labels of one shape, apart from their number", shapes, remedy)
        return measure_shares(loss, examples_of(model, samples), labels)
    if batch is None or len(labels[0]) == 1:
        return Shares([1.0], False)
    return Shares([1.0], measure_shares(loss, examples_of(model, samples), labels[0].chunk(2)).total)
