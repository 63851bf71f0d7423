"""A learned code at work: encode, h at the workers, and an estimate from any results (Agrawal et al., Sec. III-A)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..._base._numbers import Floats
from ...checks import as_array, integer, refusal
from ...codes._bases import chebyshev_nodes, chebyshev_rows
from ...codes._linear import LinearCode
from ...codes._prior import Prior
from ...schemes.functions._calls import Arguments
from ...schemes.functions._model import KnownPrior
from ...schemes.functions._scheme import FunctionScheme
from ._computation import Computation, Term
from ._encoder import Encoder, encode, powers

CALL = "kofn.map"


@dataclass(frozen=True, eq=False)
class Nodes:
    """Where v = h∘e is wanted and where it is evaluated.

    Parameters
    ----------
    betas : (K,) array
        Where e passes by the inputs.
    alphas : (N,) array
        Those of the rows.

    Examples
    --------
    >>> Nodes.paper(2, 3).betas, Nodes.paper(2, 3).alphas
    (array([0.5, 1. ]), array([0.25, 0.5 , 0.75]))
    """

    betas: Floats
    alphas: Floats

    def __post_init__(self) -> None:
        for name in ("betas", "alphas"):
            try:
                points = np.array(getattr(self, name), dtype=np.float64)
            except (TypeError, ValueError):
                points = np.empty(0)
            if points.ndim != 1 or not points.size or len(np.unique(points)) != points.size:
                points = np.array([np.nan])
            if not np.isfinite(points).all():
                must, remedy = "be distinct finite numbers, at least one", "use Nodes.chebyshev"
                raise refusal("kofn.tuning.learned.Nodes", name, must, repr(getattr(self, name)), remedy)
            object.__setattr__(self, name, points)

    @classmethod
    def paper(cls, inputs: int, rows: int) -> Nodes:
        """β_k = k/K and α_n = n/(N + 1) (Agrawal et al. 2022, Sec. IV-B)."""
        K, N = _counts(inputs, rows)
        return cls(np.arange(1, K + 1) / K, np.arange(1, N + 1) / (N + 1))

    @classmethod
    def chebyshev(cls, inputs: int, rows: int) -> Nodes:
        """Zeros of Chebyshev polynomials on [−1, 1]: those of the rows reach beyond those of the inputs."""
        K, N = _counts(inputs, rows)
        return cls(chebyshev_nodes(K)[::-1], chebyshev_nodes(N)[::-1])

    def basis(self, points: Floats, count: int) -> Floats:
        """Chebyshev polynomials on the interval of all nodes, (points, count)."""
        every = np.concatenate([self.betas, self.alphas])
        low, high = every.min(), every.max()
        return chebyshev_rows((2 * points - low - high) / (high - low), count)


def _counts(inputs: int, rows: int) -> tuple[int, int]:
    call, remedy = "kofn.tuning.learned.Nodes", "there is at least one"
    return integer(call, "inputs", inputs, 1, remedy), integer(call, "rows", rows, 1, remedy)


@dataclass(frozen=True, eq=False)
class Work:
    """What stays at a worker: V_1 … V_P and the shape of an output; called with X̃ and V_0 Vec(I)."""

    terms: Sequence[Term]
    shape: tuple[int, ...]

    def __call__(self, matrix: Floats, constant: Floats) -> Floats:
        """h(X̃), Agrawal et al. 2022, eq. (3)."""
        value: Floats = Computation(constant, self.terms)(matrix)
        return value.reshape(self.shape)


@dataclass(frozen=True, eq=False)
class EncodedInputs(Arguments):
    """Points of the encoder's curve through inputs, each with the curve's constant.

    Parameters
    ----------
    encoder : Encoder
    alphas : (rows,) array
    inputs : (K, M, M) array
    """

    encoder: Encoder
    alphas: Floats
    inputs: Floats

    def of_rows(self) -> list[tuple[Any, ...]]:
        """Each row one point."""
        coefficients, constant = self.encoder(self.inputs)
        return [(matrix, constant) for matrix in encode(coefficients, powers(self.alphas, self.encoder.degree))]


@dataclass(frozen=True, eq=False, repr=False)
class LearnedCode:
    """A code for one function of matrices, whose outputs are near those of f and come from any R results.

    ``kofn.map(learned, inputs, workers=…)`` runs it: the master sends V_0 and encoded inputs, workers evaluate h.

    The unknowns are the R coefficients of v = h∘e, whatever 𝒳 is, and the K errors f(X_k) − v(β_k) of the model,
    which no result sees. So an estimate from fewer than R results is the best one for inputs like those that it was
    fitted to, its error bar has the error of the model in it, and nothing is ever called exact.

    Parameters
    ----------
    name : str
    nodes : Nodes
    encoder : Encoder
        Γ_0 … Γ_G and Λ_0.
    terms : sequence of Term
        V_1 … V_P.
    size : int
        M.
    shape : tuple of int
        Of an output.
    mean : (R + K, …) array
        Of the unknowns.
    prior : Prior
        Of the unknowns' deviations from it.
    """

    name: str
    nodes: Nodes
    encoder: Encoder
    terms: Sequence[Term]
    size: int
    shape: tuple[int, ...]
    mean: Floats
    prior: Prior

    def __post_init__(self) -> None:
        rows = len(self.nodes.alphas)
        if rows < self.recover:
            remedy = "add workers, or recover from fewer"
            raise refusal("kofn.tuning.learned", "alphas", f"be at least R = {self.recover} nodes", rows, remedy)
        wanted = (self.recover + self.inputs, *self.shape)
        if self.prior.unknowns != len(self.mean) or self.mean.shape != wanted:
            remedy = "estimate it with kofn.tuning.learned.estimate_prior"
            raise refusal("kofn.tuning.learned", "mean", f"have shape {wanted}", self.mean.shape, remedy)

    def __repr__(self) -> str:
        return f"LearnedCode({self.name!r}, K = {self.inputs}, M = {self.size}, R = {self.recover})"

    @property
    def inputs(self) -> int:
        """K."""
        return len(self.nodes.betas)

    @property
    def degree(self) -> int:
        """P."""
        return Computation(None, self.terms).degree

    @property
    def recover(self) -> int:
        """R = GP + 1, the recovery threshold (Agrawal et al. 2022, Sec. III-A, after eq. (4))."""
        return self.encoder.degree * self.degree + 1

    @cached_property
    def work(self) -> Work:
        """One object for all jobs, so that it is placed at a worker once."""
        return Work(self.terms, self.shape)

    @cached_property
    def code(self) -> LinearCode:
        """Rows are v(α_n), targets f(X_k) = v(β_k) + what the model errs by."""
        curve, errors = self.curve, np.eye(self.inputs)
        generator = np.hstack([curve.generator, np.zeros((curve.rows, self.inputs))])
        return LinearCode(self.name, generator, np.hstack([curve.targets, errors]), curve.worker)

    @cached_property
    def curve(self) -> LinearCode:
        """The paper's code: rows are v(α_n), targets v(β_k), Agrawal et al., eqs. (4), (5); any R rows are enough."""
        alphas, betas, count = self.nodes.alphas, self.nodes.betas, self.recover
        generator, targets = self.nodes.basis(alphas, count), self.nodes.basis(betas, count)
        return LinearCode(self.name, generator, targets, np.arange(len(alphas)), threshold=count)

    def evaluations(
        self, inputs: Any, *, workers: int | None = None, rows: int | None = None, rng: Any = None
    ) -> FunctionScheme:
        """What workers evaluate for these inputs, (K, M, M); ``rows`` and ``rng`` are the code's own."""
        X = self._check(inputs)
        if rows is not None and integer(CALL, "rows", rows, 1, "leave it out") != len(self.nodes.alphas):
            must = f"be {len(self.nodes.alphas)}, as many as the code has nodes"
            raise refusal(CALL, "rows", must, rows, "leave it out, or make the code with other nodes")
        code = self.code if workers is None else self.code.on_workers(workers)

        arguments = EncodedInputs(self.encoder, self.nodes.alphas, X)
        model = KnownPrior(self.prior)
        return FunctionScheme(code, [self.work] * code.rows, arguments, model, mean=self.mean, enough=self.recover)

    def _check(self, inputs: Any) -> Floats:
        try:
            X, masked = as_array(inputs)
            X = np.empty(0) if np.iscomplexobj(X) else X.astype(np.float64, copy=False)
        except (TypeError, ValueError):
            X, masked = np.empty(0), False
        if masked:
            raise refusal(CALL, "inputs", "be without masks", "masked numbers", "fill them, with .filled(0)")
        wanted = (self.inputs, self.size, self.size)
        if X.shape != wanted:
            got = f"shape {X.shape}" if X.size else "something else, or complex"
            remedy = "fit a code for that number and size of matrices"
            raise refusal(CALL, "inputs", f"be {self.inputs} real matrices, shape {wanted}, for this code", got, remedy)
        if not np.isfinite(X).all():
            wrong = int(np.flatnonzero(~np.isfinite(X).all(axis=(1, 2)))[0])
            raise refusal(CALL, "inputs", "be finite", f"NaN or inf in input {wrong}", "clean it first")
        return X
