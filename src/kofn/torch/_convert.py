"""Converting a model: its linear and convolution layers get coded backward passes."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any, Unpack

import numpy as np

import torch
from torch import nn

from ..checks import choice, function, generator, integer, refusal
from ..errors import KofnWarning
from ..jobs._lease import PoolLease
from ._coder import Coder
from ._driver import Driver
from ._layers import CodedConv2d, CodedLinear, CodedProducts
from ._options import CALL, CodingKeywords, CodingOptions
from ._pool_driver import PoolDriver
from ._simulated_driver import SimulatedDriver
from ._sparsify import Schedule

KINDS: dict[type[nn.Module], type[nn.Module]] = {nn.Linear: CodedLinear, nn.Conv2d: CodedConv2d}


SIMULATED = 15
"""Simulated workers where their number is not given, as in the paper."""


class LeftExact(KofnWarning):
    """Some layers that multiply matrices cannot be coded and were left as they are."""


def convert(
    model: nn.Module,
    *,
    workers: Any = None,
    latency: Any = None,
    deadline: Any = None,
    late: float | None = None,
    threshold: Schedule | None = None,
    layers: Sequence[str] | None = None,
    coding: CodingOptions | None = None,
    rng: Any = None,
    **changes: Unpack[CodingKeywords],
) -> nn.Module:
    """Give the linear and convolution layers of a model coded backward passes.

    The forward pass stays exact. Of every coded layer the two backward products, G_i = G_{i+1} V^T and
    V* = X^T G_{i+1} (Tegin et al., eqs. (26), (27)), are estimated from what arrives by the deadline. Modules are
    replaced in place, as `torch.nn.SyncBatchNorm.convert_sync_batchnorm` does: parameters are the very same objects, so
    optimisers and ``state_dict`` go on. Convert ``copy.deepcopy(model)`` to keep the plain one.

    Parameters
    ----------
    model : torch.nn.Module
    workers : int, Pool, distributed.Client or list of Executor, optional
        As for `kofn.matmul`. With ``latency``: the number of simulated workers, 15 by default.
    latency : Latency, optional
        Simulates stragglers: seconds that a worker takes for one block product.
    deadline : float, AdaptiveDeadline or None
        Seconds after which a product is estimated from what has arrived; None waits for the exact product.
    late : float, optional
        Seconds until which results that missed the deadline still arrive for the next step: what they would
        have changed in the gradient of the weights is added to the next one.
    threshold : callable, optional
        ``threshold(layer, step)`` gives τ of eq. (28) for gradients, and for weights and inputs; see `Threshold`.
    layers : sequence of str, optional
        Names of the layers to code, as in ``model.named_modules()``; all that can be by default. `wide_layers`
        names those for which it pays.
    coding : CodingOptions, optional
        How products are cut, coded and estimated.
    rng : None, int or numpy.random.Generator
        Draws codes, sketches and simulated delays.
    **changes
        Any of the parameters of `CodingOptions`, such as ``code="ew-uep"`` or ``blocks=(3, 3)``.

    Returns
    -------
    torch.nn.Module
        The model; a new module if the model itself is a layer.

    Raises
    ------
    ArgumentError

    Warns
    -----
    LeftExact
        Names layers with matrices that cannot be coded.

    Examples
    --------
    >>> import kofn, torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
    >>> model = convert(model, blocks=(2, 2), workers=6, latency=kofn.Exponential(1.0), deadline=0.5, rng=0)
    >>> model(torch.ones(4, 8)).sum().backward()
    >>> model[0].weight.grad.shape
    torch.Size([16, 8])

    Without ``latency`` and ``deadline`` real workers are waited for until gradients are exact:

    >>> layer = convert(torch.nn.Linear(8, 16), workers=1)
    >>> layer(torch.ones(4, 8)).sum().backward()
    >>> bool(torch.allclose(layer.weight.grad, torch.full((16, 8), 4.0)))
    True
    """
    if not isinstance(model, nn.Module):
        raise refusal(CALL, "model", "be a torch.nn.Module", repr(model), "build one with torch.nn.Sequential")
    if threshold is not None:
        function(CALL, "threshold", threshold, "use kofn.torch.Threshold(), for example")
    driver, count = _driver(workers, latency, deadline, late)
    coding = CodingOptions.of(coding, changes).for_workers(count)
    chosen = _choose(model, layers)
    seeds = np.random.SeedSequence(int(generator(CALL, rng).integers(2**63)))
    made: dict[int, nn.Module] = {}
    for number, (name, layer) in enumerate(chosen.items()):
        of_inputs, of_weights = seeds.spawn(2)
        inputs = Coder(f"layer {name!r}", coding, driver, of_inputs, number, threshold)
        weights = Coder(f"layer {name!r}", coding, driver, of_weights, number, threshold, late is not None)
        made[id(layer)] = _code(layer, CodedProducts(inputs, weights))
    return _replace(model, made)


def _driver(workers: Any, latency: Any, deadline: Any, late: float | None) -> tuple[Driver, int]:
    if latency is None:
        real = PoolLease(workers, CALL)
        return PoolDriver(deadline, late, real), real.n
    remedy = "leave out 'latency' to use the workers of a pool"
    count = SIMULATED if workers is None else integer(CALL, "workers", workers, 1, remedy)
    return SimulatedDriver(deadline, late, latency, count), count


def _choose(model: nn.Module, names: Sequence[str] | None) -> dict[str, nn.Module]:
    """The layers to code, by name, and a warning that names those that cannot be."""
    found, can = dict(model.named_modules()), dict(codable_layers(model))
    if names is not None:
        if isinstance(names, str) or not isinstance(names, Iterable):
            raise refusal(CALL, "layers", "be a sequence of names", repr(names), 'write ["fc1"], for example')
        for name in names:
            choice(CALL, "layers", name, can, "see dict(model.named_modules())")
        return {name: can[name] for name in names}
    coded = [name for name, module in found.items() if isinstance(module, tuple(KINDS.values()))]
    if coded:
        must, remedy = "have no coded layers yet", "convert a copy of the plain model, or name layers="
        raise refusal(CALL, "model", must, f"{coded[0]!r} coded before", remedy)
    cannot = {name: obstacle(module) for name, module in found.items() if obstacle(module) is not None}
    if cannot:
        listed = ", ".join(f"{name!r} ({why})" for name, why in cannot.items())
        warnings.warn(f"{CALL}: left exact because they cannot be coded: {listed}.", LeftExact, stacklevel=3)
    return can


def codable_layers(model: nn.Module) -> list[tuple[str, Any]]:
    """The layers of a model that can be coded, with their names."""
    return [(name, layer) for name, layer in model.named_modules() if type(layer) in KINDS and obstacle(layer) is None]


def obstacle(module: nn.Module) -> str | None:
    """Why a layer with matrices of its own cannot be coded; None where it can, or has none."""
    own = list(module.parameters(recurse=False))
    if type(module) in (*KINDS, *KINDS.values()):
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            return f"a convolution of {module.groups} groups"
        return f"a {type(module).__name__} of complex numbers" if any(map(torch.is_complex, own)) else None
    # A subclass may compute its matrix, as parametrizations do.
    matrices = isinstance(module, tuple(KINDS)) or any(
        nn.parameter.is_lazy(parameter) or parameter.dim() > 1 for parameter in own
    )
    return f"a {type(module).__name__}" if matrices else None


def _code(layer: nn.Module, products: CodedProducts) -> nn.Module:
    """A coded layer with everything of a plain one: parameters, buffers, hooks."""
    made = KINDS[type(layer)]
    coded = made.__new__(made)
    coded.__dict__.update(layer.__dict__)
    coded.__dict__["products"] = products
    return coded


def _replace(model: nn.Module, made: dict[int, nn.Module]) -> nn.Module:
    for module in list(model.modules()):
        # Not named_children: it tells of a layer that is registered twice only once.
        for name, child in list(module._modules.items()):
            if id(child) in made:
                setattr(module, name, made[id(child)])
    return made.get(id(model), model)
