"""AICC (Agrawal et al. 2022, Sec. III) in PyTorch: Γ_0 … Γ_G and Λ_0 are networks, Λ_1 … Λ_P weight matrices.

It needs PyTorch: ``pip install 'kofn[torch]'``. The same code runs on CPU and GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from kofn.checks import integer, refusal
from kofn.errors import require
from kofn.tuning.learned import Computation, LearnedCode, Linear, Nodes, Term, encode, estimate_prior, powers, width

with require("kofn_studies.aicc.network", "torch"):
    import torch
    from torch import Tensor, nn

Floats = NDArray[Any]
CALL = "kofn.tuning.learned.Aicc"

HIDDEN = 100
"""Nodes in each of the two hidden layers (Agrawal et al. 2022, Sec. IV-B)."""


START = 0.03
"""How much a centred start varies, in units of what f does."""

PUSH = 2.0
"""How much all weights of a V_p change outputs in one step of Adam at the rate of 1, in units of what f varies."""


@dataclass(frozen=True)
class Sizes:
    """What an architecture is made of; its recovery threshold is R = GP + 1.

    Parameters
    ----------
    size, inputs, outputs : int
        M, K and V.
    degree : int
        G, that of e.
    terms : tuple of (p, feature, shape of the weight)
        Those of h; P is the largest p.

    Examples
    --------
    >>> Sizes.paper(size=4, inputs=3, outputs=4, degree=2, power=2).terms
    ((1, 'entries', (4, 16)), (2, 'entries', (4, 16)))
    """

    size: int
    inputs: int
    outputs: int
    degree: int
    terms: tuple[tuple[int, str, tuple[int, ...]], ...]

    def __post_init__(self) -> None:
        for name in ("size", "inputs", "outputs", "degree"):
            integer("kofn_studies.aicc.network.Sizes", name, getattr(self, name), 1, "there is at least one")

    @classmethod
    def paper(cls, size: int, inputs: int, outputs: int, degree: int, power: int) -> Sizes:
        """Dense V_1 … V_P, as in the paper."""
        for name, value in (("size", size), ("power", power)):
            integer("kofn_studies.aicc.network.Sizes", name, value, 1, "there is at least one")
        dense = tuple((p, "entries", (outputs, width("entries", size))) for p in range(1, power + 1))
        return cls(size, inputs, outputs, degree, dense)

    @classmethod
    def of(cls, code: LearnedCode) -> Sizes:
        """Those of a code."""
        terms = tuple((term.power, term.feature, np.shape(term.weight)) for term in code.terms)
        return cls(code.size, code.inputs, int(np.prod(code.shape)), code.encoder.degree, terms)


class Aicc(nn.Module):
    """v(β_k) = h(e(β_k)) for k = 1 … K, the whole of Agrawal et al. 2022, Fig. 2 and 3, to be trained as one network.

    The networks' last layers add to a linear start: U_g = Σ_k C_gk X_k + Γ_g(𝒳), V_0 Vec(I) = c + Λ_0(𝒳). It is zero
    for the paper's random start. From a `LearnedCode` (`from_code`), the networks' last layers are zero instead, so
    that training begins at the closed form.

    V_0 enters eq. (3) as V_0 Vec(I) alone, so Λ_0 gives these V numbers, and V_0 itself is never formed.

    Parameters
    ----------
    sizes : Sizes
    betas : (K,) array
    seed : int
        Draws the networks' weights.

    Attributes
    ----------
    paces : dict of str to float
        By what a parameter's learning rate is multiplied; 1 where it is not named.
    scale : float
        By what the cost is multiplied in training, so that gradients are not lost beside what Adam adds to them.

    Examples
    --------
    >>> model = Aicc(Sizes.paper(size=4, inputs=3, outputs=4, degree=2, power=2), Nodes.paper(3, 8).betas, seed=0)
    >>> tuple(model(torch.zeros(5, 3, 4, 4)).shape)
    (5, 3, 4)
    """

    start: Tensor
    constant: Tensor
    basis: Tensor

    def __init__(self, sizes: Sizes, betas: Floats, seed: int) -> None:
        super().__init__()
        if not isinstance(sizes, Sizes):
            raise refusal(CALL, "sizes", "be kofn_studies.aicc.network.Sizes", repr(sizes), "see Sizes.paper")
        integer(CALL, "seed", seed, 0, "an int repeats a run")
        self.sizes, self.betas, self.seed = sizes, Nodes(betas, betas).betas, seed
        if len(self.betas) != sizes.inputs:
            raise refusal(CALL, "betas", f"be K = {sizes.inputs} nodes, one an input", len(self.betas), "see Nodes")
        entries, K, G = sizes.size**2, sizes.inputs, sizes.degree
        random = torch.Generator().manual_seed(seed)
        self.gammas = nn.ModuleList(_network(K * entries, entries, random) for _ in range(G + 1))
        self.lambda_0 = _network(K * entries, sizes.outputs, random)
        self.weights = nn.ParameterList(_drawn(shape, random) for _, _, shape in sizes.terms)
        self.register_buffer("start", torch.zeros(G + 1, K))
        self.register_buffer("constant", torch.zeros(sizes.outputs))
        self.register_buffer("basis", torch.as_tensor(powers(self.betas, G), dtype=torch.float32))
        self.paces: dict[str, float] = {}
        self.scale = 1.0

    @classmethod
    def from_code(cls, code: LearnedCode, seed: int) -> Aicc:
        """The same function as a code in closed form, with networks that add nothing yet."""
        if not isinstance(code.encoder, Linear):
            got = f"one with a {type(code.encoder).__name__}"
            raise refusal(CALL, "code", "be in closed form", got, "use kofn.tuning.learned.structured_code")
        model = cls(Sizes.of(code), code.nodes.betas, seed)
        with torch.no_grad():
            for network in (*model.gammas, model.lambda_0):
                network[-1].weight.zero_()
            for weight, term in zip(model.weights, code.terms, strict=True):
                weight.copy_(torch.as_tensor(term.weight))
            model.start.copy_(torch.as_tensor(code.encoder.weights))
            model.constant.copy_(torch.as_tensor(code.encoder.constant))
        return model

    def centre(self, inputs: Tensor, values: Tensor) -> None:
        """Let a random start answer with the mean of f, and vary a little around it.

        Sums over M² entries of e and its powers are far from f at the start, and step by step with Adam, which changes
        every weight by as much: each V_p and the last layer of Λ_0 are scaled here, and learn at paces that change
        outputs alike.

        Parameters
        ----------
        inputs : (draws, K, M, M) tensor
        values : (draws, K, V) tensor
            f of the inputs.
        """
        mean = values.mean((0, 1))
        spread = _spread(values, mean)
        self.scale = 1.0 / spread
        with torch.no_grad():
            U, constant = self.coefficients(inputs)
            encoded = encode(U, self.basis)
            power = encoded
            for number, weight in enumerate(self.weights):
                self.paces[f"weights.{number}"] = PUSH * spread / float(power.abs().sum((-2, -1)).mean())
                part = power.flatten(-2) @ weight.T
                weight.mul_(START * spread / _spread(part, part.mean((0, 1))))
                power = power @ encoded
            last: Any = self.lambda_0[-1]
            last.weight.mul_(START * spread / _spread(constant, constant.mean(0)))
            self.paces |= {f"lambda_0.4.{name}": PUSH * spread / HIDDEN**0.5 for name in ("weight", "bias")}
            self.constant.add_(mean - self(inputs).mean((0, 1)))

    def coefficients(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """U_0 … U_G, (…, G + 1, M, M), and V_0 Vec(I), (…, V), of inputs (…, K, M, M)."""
        each = inputs.flatten(-2)
        every = each.flatten(-2)
        networks = torch.stack([gamma(every) for gamma in self.gammas], dim=-2)
        U = self.start @ each + networks
        return U.reshape(*U.shape[:-1], *inputs.shape[-2:]), self.constant + self.lambda_0(every)

    @property
    def terms(self) -> list[Term]:
        """V_1 … V_P as they are now."""
        shapes = zip(self.sizes.terms, self.weights, strict=True)
        return [Term(power, feature, weight) for (power, feature, _), weight in shapes]

    def forward(self, inputs: Tensor) -> Tensor:
        """v(β_k) of inputs (…, K, M, M): (…, K, V), Agrawal et al. 2022, eq. (5) as in training."""
        U, constant = self.coefficients(inputs)
        value: Tensor = Computation(constant[..., None, :], self.terms)(encode(U, self.basis))
        return value

    def code(self, nodes: Nodes, inputs: Floats, values: Floats, name: str = "aicc") -> LearnedCode:
        """The code for `kofn.map`, in float64, with what is expected of it from samples.

        Parameters
        ----------
        nodes : Nodes
            Their β must be those that the model was trained with.
        inputs : (draws, K, M, M) array
        values : (draws, K, …) array
            f of the inputs.
        """
        inputs, values = self._samples(inputs, values)
        if not np.array_equal(nodes.betas, self.betas):
            raise refusal(CALL, "nodes", "have the β of training", nodes.betas, "keep them as they were")
        encoder = Networks(self)
        terms = [replace(term, weight=_plain(term.weight)) for term in self.terms]
        mean, prior = estimate_prior(nodes, encoder, terms, inputs, values)
        return LearnedCode(name, nodes, encoder, terms, self.sizes.size, values.shape[2:], mean, prior)

    def _samples(self, inputs: Any, values: Any) -> tuple[Floats, Floats]:
        sizes, (inputs, values) = self.sizes, (np.asarray(inputs), np.asarray(values))
        if inputs.ndim != 4 or inputs.shape[1:] != (sizes.inputs, sizes.size, sizes.size):
            must = f"have shape (draws, {sizes.inputs}, {sizes.size}, {sizes.size}), as this model was made for"
            raise refusal(CALL, "inputs", must, inputs.shape, "draw them as in training")
        if values.shape[:2] != inputs.shape[:2] or np.prod(values.shape[2:]) != sizes.outputs:
            must = f"hold V = {sizes.outputs} numbers of each input, shape ({len(inputs)}, {sizes.inputs}, …)"
            raise refusal(CALL, "values", must, values.shape, "evaluate f at every input")
        return inputs, values


class Networks:
    """Γ_0 … Γ_G and Λ_0 of a trained model as an encoder of arrays, in float64 and on the CPU."""

    kind: ClassVar[str] = "networks"

    def __init__(self, model: Aicc) -> None:
        self.model = Aicc(model.sizes, model.betas, model.seed)
        self.model.load_state_dict(model.state_dict())
        self.model.double()

    @property
    def degree(self) -> int:
        """G."""
        return self.model.sizes.degree

    def __call__(self, inputs: Floats) -> tuple[Floats, Floats]:
        """U and V_0 Vec(I) of inputs (…, K, M, M)."""
        with torch.inference_mode():
            U, constant = self.model.coefficients(torch.as_tensor(inputs, dtype=torch.float64))
        return U.numpy(), constant.numpy()

    def multiplications(self, size: int) -> int:
        """One a weight, and K (G + 1) M² of the linear start."""
        networks = (*self.model.gammas, self.model.lambda_0)
        weights = sum(int(parameter.numel()) for network in networks for parameter in network.parameters())
        return weights + int(self.model.start.numel()) * size**2

    def parts(self) -> tuple[dict[str, Any], dict[str, Floats]]:
        """The sizes, and all weights."""
        sizes = self.model.sizes
        said = {
            "outputs": sizes.outputs,
            "degree": sizes.degree,
            "terms": [[p, feature, list(shape)] for p, feature, shape in sizes.terms],
            "sizes": [sizes.size, sizes.inputs],
        }
        return said, {key: value.numpy() for key, value in self.model.state_dict().items()}

    @classmethod
    def from_parts(cls, said: dict[str, Any], tensors: dict[str, Floats], nodes: Nodes) -> Self:
        """The same again, at the β of some nodes."""
        terms = tuple((p, feature, tuple(shape)) for p, feature, shape in said["terms"])
        size, inputs = said["sizes"]
        model = Aicc(Sizes(size, inputs, said["outputs"], said["degree"], terms), nodes.betas, seed=0).double()
        model.load_state_dict({key: torch.as_tensor(value) for key, value in tensors.items()})
        return cls(model)


def _network(inputs: int, outputs: int, random: torch.Generator) -> nn.Sequential:
    """Two hidden layers of 100 nodes (Agrawal et al., Sec. IV-B); initialised as Keras does, which the paper used."""
    layers: Sequence[nn.Linear] = [nn.Linear(inputs, HIDDEN), nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, outputs)]
    for layer in layers:
        nn.init.xavier_uniform_(layer.weight, generator=random)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(layers[0], nn.SiLU(), layers[1], nn.SiLU(), layers[2])


def _drawn(shape: tuple[int, ...], random: torch.Generator) -> nn.Parameter:
    weight = torch.zeros(shape)
    return nn.Parameter(nn.init.xavier_uniform_(weight, generator=random) if weight.ndim == 2 else weight)


def _plain(weight: Tensor) -> Floats:
    return weight.detach().cpu().double().numpy()


def _spread(values: Tensor, mean: Tensor) -> float:
    """Root mean square of what varies."""
    return float((values - mean).square().mean().sqrt())
