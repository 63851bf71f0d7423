"""`kofn.design`: the best code for this product, these workers and this deadline."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from ... import checks
from ..._base._numbers import Floats, Seed
from ...codes._linear import LinearCode
from ...codes._prior import Prior
from ...schemes._deal import deal_rows, default_redundancy
from ...schemes._scheme import Scheme
from ...schemes.products._cuts import row_column
from ...schemes.products._importance import even_sizes, split_classes
from ...schemes.products._operands import Operands, generator
from ...schemes.products._row_column import row_column_scheme
from ...schemes.products._scheme import sketch_prior
from ...schemes.products._shaping import Directions
from ...simulation._latency import Latency, check_latency
from ...simulation._simulate import errors_by_count
from ._amplification import Amplification, amplifications, subsets
from ._objective import CALL, Objective, deadline, objective_of
from ._search import SearchProblem, plain_codes, search
from ._windows import Windows, best_windows

CLASSES = 3


@dataclass(frozen=True, eq=False)
class Design:
    """A code found by `kofn.design`; pass it as ``code=`` to `kofn.matmul`.

    Parameters
    ----------
    code : LinearCode
        Load 1/results a row: a worker's whole share is one unit of work.
    alpha, beta : (rows, N) and (rows, P) arrays
        Coefficients of the blocks of A and of B.
    blocks : (N, P)
    prior : Prior
        What it was designed for, and `expected` by.
    objective : Objective
    latency : Latency
    limit : float
        Amplification that at most one in a hundred sets of N·P results may exceed.
    power, floor : float
        The shape: sizes of coefficients are (energy share)^(power/2), at least ``floor``.
    value, plain : float
        The objective, of this code and of Gaussian coefficients in proportion to norms under the same limit.
    """

    code: LinearCode
    alpha: Floats
    beta: Floats
    blocks: tuple[int, int]
    prior: Prior
    objective: Objective
    latency: Latency
    limit: float
    power: float
    floor: float
    value: float
    plain: float

    def scheme(self, A: Any, B: Any, rng: Seed = None) -> Scheme:
        """The scheme for matrices like those it was designed for; ``rng`` draws the sketch for the error bar."""
        operands, random = Operands.of(A, B), generator(rng)
        cut = row_column(operands, self.blocks, self.code.unknowns, "frobenius", random)
        scheme = row_column_scheme(
            "designed", operands, cut.grid, self.alpha, self.beta,
            workers=self.code.workers, threshold=self.code.threshold, rng=random,
        )  # fmt: skip
        return replace(scheme, code=replace(self.code, spread=scheme.code.spread))

    def __call__(
        self,
        A: Any,
        B: Any,
        *,
        blocks: tuple[int, int] | None = None,
        rows: int | None = None,
        workers: int | None = None,
        rng: Seed = None,
    ) -> Scheme:
        """The same with the signature of all builders; what it was not designed for is refused.

        Raises
        ------
        ArgumentError
            Other blocks or rows than designed, or fewer workers.
        """
        remedy = "design a code for it, or leave it out"
        given = blocks if blocks is None else tuple(blocks)
        if given not in (None, self.blocks):
            raise checks.refusal("kofn.matmul", "blocks", f"be {self.blocks}, as designed", blocks, remedy)
        if rows not in (None, self.code.rows):
            raise checks.refusal("kofn.matmul", "rows", f"be {self.code.rows}, as designed", rows, remedy)
        if workers is not None and workers < self.code.workers:
            must = f"be at least {self.code.workers}, as designed"
            raise checks.refusal("kofn.matmul", "workers", must, workers, "use a larger pool, or design for this one")
        return self.scheme(A, B, rng)

    def expected_loss(self, seconds: float) -> float:
        """Expected normalised loss E‖C − Ĉ‖²/E‖C‖² of the estimate at a deadline.

        Examples
        --------
        >>> import kofn
        >>> from kofn.tuning.products import design_for
        >>> energies = kofn.Prior.independent([4.0, 1.0])
        >>> found = design_for(energies, (2, 1), workers=4, latency=kofn.Exponential(1.0), deadline=0.5, rng=0)
        >>> found.expected_loss(0.5) < found.expected_loss(0.1) < 1
        True
        """
        return self._problem(deadline(seconds)).value(self.code)

    @cached_property
    def by_count(self) -> Floats:
        """Expected normalised loss after 0, 1, …, N·P results in random order, (N·P + 1,)."""
        errors = errors_by_count(self.code, trials=200, rng=0, prior=self.prior)
        loss: Floats = np.mean(errors[:, : self.code.unknowns + 1] ** 2, axis=0)
        return loss

    @cached_property
    def amplification(self) -> Amplification:
        """Amplification over 20 000 sets of N·P results that the search has not seen."""
        code = self.code
        return Amplification.of(amplifications(code, subsets(code.rows, 20_000, code.unknowns, seed=1)))

    @cached_property
    def windows(self) -> tuple[Windows, ...]:
        """The best NOW and EW windows for the same objective (three classes, closed forms), to compare with.

        Nothing for a target error, because closed forms speak of the mean loss alone, and nothing where one
        product is all, or all of them are zero.
        """
        code = self.code
        many = code.unknowns >= CLASSES and code.rows == code.workers
        if self.objective.target is not None or not many or not self.prior.energies.any():
            return ()
        sizes = even_sizes(code.unknowns, CLASSES)
        label = split_classes(self.prior.energies, sizes)
        energies = np.bincount(label, weights=self.prior.energies)
        weights = self._problem(self.objective).counts
        return tuple(best_windows(kind, sizes, energies, weights) for kind in ("now", "ew"))

    def _problem(self, objective: Objective) -> SearchProblem:
        code = self.code
        return SearchProblem.of(self.prior, self.blocks, code.worker, code.load, objective, self.limit, self.latency)

    @property
    def _against_plain(self) -> str:
        others = "plain Gaussian coefficients in proportion to norms"
        if self.plain == np.inf:
            return f"where {others} amplify more than the limit"
        share = self.value / self.plain if self.plain > 0 else 1.0  # both lose nothing
        return f"{share:.2f} times that of {others} under the same limit"

    def __str__(self) -> str:
        n, p = self.blocks
        code = self.code
        losses = ", ".join(f"{loss:.3g}" for loss in self.by_count[1:])
        lines = [
            f"A code for {code.workers} workers, {code.rows} results, {n} × {p} blocks: any {n * p} results are exact.",
            f"{self.objective.name}: {self.value:.4g}, {self._against_plain}",
            *(f"  {windows}" for windows in self.windows),
            f"expected loss after 1, 2, … results: {losses}",
            f"amplification: {self.amplification}; limit at p99: {self.limit:g}",
            f"sizes: energy share to the power {self.power / 2:g}, at least {self.floor:.3g}",
        ]
        return "\n".join(lines)


def design(
    A: Any,
    B: Any,
    *,
    workers: int,
    latency: Latency,
    deadline: float | None = None,
    target_error: float | None = None,
    area: float | None = None,
    blocks: tuple[int, int] | None = None,
    results: int = 1,
    correlations: bool = True,
    amplification_limit: float = 1e4,
    rng: Seed = None,
) -> Design:
    """Find the code that is best at one thing for this product, these workers and their latency.

    A random sketch of the product tells which combinations of blocks carry it. Every row starts with the most
    important of them, how steeply the others fall off is what is optimised, and any N·P results stay exact.
    Losses are those that the decoder of real runs expects, on received sets drawn once for all candidates.

    Parameters
    ----------
    A : (m, k) array
    B : (k, n) array
    workers : int
    latency : Latency
        When rows arrive; a worker's whole share is one unit of work.
    deadline : float, optional
        Minimise the expected loss after so many seconds.
    target_error : float, optional
        Minimise the mean time to an expected relative error of at most this.
    area : float, optional
        Minimise the area under the curve of expected loss up to so many seconds. Give one of these three.
    blocks : (N, P), optional
        Close to three quarters as many block products as results by default.
    results : int
        Results that each worker sends one after the other, each 1/results of its share of the work. More are
        better until messages cost more than they bring; cut finer with ``blocks`` accordingly.
    correlations : bool
        Follow the sketch's correlations between blocks, or its energies alone.
    amplification_limit : float
        Amplification of rounding that at most one in a hundred sets of N·P results may exceed.
    rng : None, int or Generator
        Draws the sketch and the candidates.

    Returns
    -------
    Design
        To be passed as ``code=`` to `kofn.matmul`; print it for a report.

    Raises
    ------
    ArgumentError
        An argument cannot work.

    Examples
    --------
    >>> import kofn
    >>> A = np.random.default_rng(0).standard_normal((40, 20)) * np.repeat([4.0, 1.0], 20)[:, None]
    >>> found = kofn.design(A, A.T, workers=6, latency=kofn.Exponential(1.0), deadline=0.5, blocks=(2, 2), rng=0)
    >>> found.value < found.plain
    True
    >>> kofn.matmul(A, A.T, workers=6, code=found).exact
    True
    """
    random = checks.generator(CALL, rng)
    count, each = _counts(workers, results)
    with checks.named(CALL):
        needed = count * each - default_redundancy(count * each)
        cut = row_column(Operands.of(A, B), blocks, needed, "frobenius", random)
    grid = cut.grid.rows.count, cut.grid.columns.count
    return design_for(
        sketch_prior(*cut.blocks, random), grid,
        workers=workers, latency=latency, deadline=deadline, target_error=target_error, area=area, results=results,
        correlations=correlations, amplification_limit=amplification_limit, rng=random,
    )  # fmt: skip


def design_for(
    prior: Prior,
    blocks: tuple[int, int],
    *,
    workers: int,
    latency: Latency,
    deadline: float | None = None,
    target_error: float | None = None,
    area: float | None = None,
    results: int = 1,
    correlations: bool = True,
    amplification_limit: float = 1e4,
    rng: Seed = None,
) -> Design:
    """The same without data, from what is expected of the products: for studies.

    Parameters
    ----------
    prior : Prior
        Of the N·P products A_n B_p, p running fastest.
    blocks : (N, P)
    workers, latency, deadline, target_error, area, results, correlations, amplification_limit, rng
        As for `design`.

    Examples
    --------
    The paper's setting (Tegin et al. 2022, Sec. VI), at its deadline of 0.25:

    >>> import kofn
    >>> variances = np.array([10.0, 1.0, 0.1])
    >>> paper = kofn.Prior.independent(np.outer(variances, variances).ravel())
    >>> found = design_for(paper, (3, 3), workers=30, latency=kofn.Exponential(1.0), deadline=0.25, rng=0)
    >>> found.value < 0.9 * found.plain
    True
    """
    random = checks.generator(CALL, rng)
    count, each = _counts(workers, results)
    rows = count * each
    products = _require(prior, blocks, rows)
    check_latency(CALL, "latency", latency)
    limit = checks.number(CALL, "amplification_limit", amplification_limit, "1e4 leaves twelve digits", minimum=1.0)
    goals = {"deadline": deadline, "target_error": target_error, "area": area}
    objective = objective_of(goals, latency, count, min(count, -(-products // each)))
    worker, load = deal_rows(rows, count), np.full(rows, 1.0 / each)
    problem_of = partial(SearchProblem.of, prior, blocks, worker, load, objective, limit, latency)
    problem, told = problem_of(seed=0), problem_of(seed=1)  # what was chosen on some sets is told by others
    directions = Directions.of_prior(prior, *blocks, correlations=correlations)
    found = search(problem, directions, random)
    code = problem.code(found.alpha, found.beta)
    others = plain_codes(problem, Directions.of_prior(prior, *blocks, correlations=False), random)
    baseline = float(np.mean([told.value(other) for other in others] or [np.inf]))
    return Design(
        code, found.alpha, found.beta, blocks, prior, objective, latency, limit,
        found.power, found.floor or 1.0, told.value(code), baseline,
    )  # fmt: skip


def _counts(workers: Any, results: Any) -> tuple[int, int]:
    count = checks.integer(CALL, "workers", workers, 1, "say how many workers there are")
    return count, checks.integer(CALL, "results", results, 1, "1 is one result a worker")


def _require(prior: Any, blocks: Any, rows: int) -> int:
    """How many products the blocks make, unless they do not fit to the prior or to the results."""
    try:
        n, p = blocks
    except (TypeError, ValueError):
        raise checks.refusal(CALL, "blocks", "be a pair (N, P)", repr(blocks), "write (3, 3), for example") from None
    few = "use at least one block in each direction"
    products = checks.integer(CALL, "blocks", n, 1, few) * checks.integer(CALL, "blocks", p, 1, few)
    if not isinstance(prior, Prior) or prior.unknowns != products:
        given = getattr(prior, "unknowns", repr(prior))
        raise checks.refusal(CALL, "prior", f"be a Prior of {products} products", given, "see kofn.Prior")
    if products > rows:
        must = f"be at most as many products as there are results, {rows}"
        raise checks.refusal(CALL, "blocks", must, blocks, "use fewer blocks, more workers or more results")
    return products
