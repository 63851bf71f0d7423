"""The search: how steeply coefficients fall off with energy, for one objective, under a bound on amplification."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from ... import checks
from ..._base._numbers import Floats
from ...codes._bases import row_kronecker
from ...codes._linear import LinearCode
from ...codes._prior import Prior
from ...codes.decoding._decode import decode
from ...schemes.products._shaping import Directions
from ...simulation._latency import Latency
from ._amplification import STACK, certificates, is_exact, subsets
from ._objective import CALL, Objective
from ._spread import draw_coefficients
from ._strata import Strata, draw_strata

POWERS = (0.5, 1.0, 1.5)
STEPS = (0.25, 0.125)
"""Steepnesses that are tried first, and on either side of the best so far; 1 is proportional to norms."""

LEAST_FLOOR = 1e-3

CANDIDATES = 16
"""Ways to step round the torus among which the best one is taken."""

SETS = 2400
"""Received sets that a value is a mean over, spread over moments and numbers of results."""

EFFORT = 1_000_000
"""Sets of N·P results on which amplification is sampled, times (N·P)²."""

PLAIN = 4
"""Draws of Gaussian coefficients that a design is compared with."""

HEADROOM = 0.85
"""Share of the limit that is used, because a sampled p99 is uncertain by about a tenth."""


@dataclass(frozen=True, eq=False)
class SearchProblem:
    """A design problem: everything that candidates have in common, the random draws included.

    Parameters
    ----------
    prior : Prior
        Of the N·P products.
    blocks : (N, P)
    worker, load : (rows,) arrays
    objective : Objective
    limit : float
        Amplification that at most one in a hundred sets of N·P results may exceed.
    received : list of Strata
        One for each moment of the objective.
    """

    prior: Prior
    blocks: tuple[int, int]
    worker: NDArray[np.intp]
    load: Floats
    objective: Objective
    limit: float
    received: list[Strata]

    @classmethod
    def of(
        cls, prior: Prior, blocks: tuple[int, int], worker: NDArray[np.intp], load: Floats, objective: Objective,
        limit: float, latency: Latency, seed: int = 0,
    ) -> SearchProblem:  # fmt: skip
        """Draw the received sets."""
        products = blocks[0] * blocks[1]  # from so many results on all is exact
        count = sets_each(objective, products)
        received = [
            draw_strata(latency, worker, load, float(time), products - 1, count, rng=[seed, number])
            for number, time in enumerate(objective.times)
        ]
        return cls(prior, blocks, worker, load, objective, limit, received)

    @property
    def counts(self) -> Floats:
        """What a loss after 0, 1, … results counts in the objective, (rows + 1,)."""
        weighted: Floats = self.objective.weights @ np.array([part.chances for part in self.received])
        return weighted

    @property
    def rows(self) -> int:
        """Coded rows."""
        return len(self.worker)

    def code(self, alpha: Floats, beta: Floats) -> LinearCode:
        """The code of these coefficients."""
        products = self.blocks[0] * self.blocks[1]
        rows = row_kronecker(alpha, beta)
        return LinearCode("designed", rows, np.eye(products), self.worker, self.load, threshold=products)

    def value(self, code: LinearCode) -> float:
        """The objective, by the decoder of real runs: what is received tells the loss without the truth."""
        cases = [self._cases(code, part) for part in self.received]
        losses, chances = (np.array(part) for part in zip(*cases, strict=True))
        return self.objective.of(losses, chances)

    def _cases(self, code: LinearCode, received: Strata) -> tuple[Floats, Floats]:
        """Losses and chances of all sets at one moment, as many at each; what cannot be has no chance."""
        count = sets_each(self.objective, len(received.sets))
        losses, chances = np.zeros((2, len(received.sets), count))
        for number, rows in enumerate(received.sets):
            if len(rows):
                step = max(1, STACK // (8 * max(1, number) * code.unknowns))
                parts = [decode(code, rows[i : i + step], self.prior).error for i in range(0, count, step)]
                losses[number] = np.concatenate(parts) ** 2
                chances[number] = received.chances[number] / count
        return losses.ravel(), chances.ravel()


def sets_each(objective: Objective, products: int) -> int:
    """Received sets that are drawn for each number of results below ``products``, at each moment."""
    return max(8, SETS // (len(objective.times) * products))


@dataclass(frozen=True, eq=False)
class SearchResult:
    """Coefficients and their value; without a floor, and of infinite value, where none meets the bound."""

    alpha: Floats
    beta: Floats
    power: float
    floor: float | None
    value: float


@dataclass(frozen=True, eq=False)
class Points:
    """Coefficients before shaping, with the inverses of sampled sets of N·P of their rows.

    Shaping multiplies the generator by a matrix K from the right, so that inverses are computed once, and a set that
    has none has none in any shape: ``exact`` says whether all have one.
    """

    alpha: Floats
    beta: Floats
    sets: NDArray[np.intp]
    inverses: Floats
    exact: bool

    @classmethod
    def of(cls, alpha: Floats, beta: Floats, effort: int, seed: int) -> Points:
        """Sample the more sets the smaller they are, for the same effort."""
        generator = row_kronecker(alpha, beta)
        rows, size = generator.shape
        sets = subsets(rows, int(np.clip(effort // size**2, 300, 12_000)), size, seed)
        parts = list(certificates(generator, np.eye(size), sets))
        exact = all(is_exact(part).all() for part in parts)
        return cls(alpha, beta, sets, np.concatenate([part.matrix for part in parts]), exact)

    def p99(self, first: Floats, second: Floats) -> float:
        """Amplification that one in a hundred sets exceeds, once α and β are multiplied by these matrices.

        It is inf where any set is not exact: that would be no code of which any N·P results are.
        """
        if not self.exact:
            return np.inf
        size = np.linalg.norm(row_kronecker(self.alpha @ first, self.beta @ second), axis=1)[self.sets]
        back = np.kron(np.linalg.inv(first), np.linalg.inv(second))
        worst = np.linalg.norm((back @ self.inverses) * size[:, None, :], axis=2).max(axis=1)
        return float(np.quantile(worst, 0.99, method="higher"))


def search(problem: SearchProblem, directions: Directions, rng: np.random.Generator) -> SearchResult:
    """Narrow down the power, each with the least floor that the bound allows, on the best of several spreads.

    Raises
    ------
    ArgumentError
        When even coefficients of equal size amplify more than the limit.
    """
    chosen = best_points(problem, directions, rng)
    points = Points.of(*chosen, EFFORT, seed=2)  # other sets than those that chose it: selection flatters
    best = min((_value_of(problem, directions, points, power) for power in POWERS), key=attrgetter("value"))
    for step in STEPS:
        near = [_value_of(problem, directions, points, best.power + sign * step) for sign in (-1, 1)]
        best = min([best, *near], key=attrgetter("value"))
    if best.floor is None:
        must = f"be at least what {problem.rows} rows of {problem.blocks[0]} × {problem.blocks[1]} blocks need"
        raise checks.refusal(CALL, "amplification_limit", must, problem.limit, "raise it, or use fewer blocks")
    return best


def plain_codes(problem: SearchProblem, directions: Directions, rng: np.random.Generator) -> list[LinearCode]:
    """Codes of Gaussian coefficients in proportion to the norms, under the same bound; those draws that meet it."""
    n, p = problem.blocks
    pairs = [(rng.standard_normal((problem.rows, n)), rng.standard_normal((problem.rows, p))) for _ in range(PLAIN)]
    found = [_value_of(problem, directions, Points.of(*pair, EFFORT // 4, seed=2), 1.0) for pair in pairs]
    return [problem.code(each.alpha, each.beta) for each in found if each.floor is not None]


def best_points(problem: SearchProblem, directions: Directions, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Of several ways to step round the torus, the one that is best when shaped in proportion to norms."""
    n, p = problem.blocks
    steps = [None, *rng.random((CANDIDATES - 1, n // 2 + p // 2))]
    spreads = [draw_coefficients(problem.rows, n, p, rng, step) for step in steps]
    values = [_value_of(problem, directions, Points.of(*pair, EFFORT // 8, seed=0), 1.0).value for pair in spreads]
    return spreads[int(np.argmin(values))]


def _value_of(problem: SearchProblem, directions: Directions, points: Points, power: float) -> SearchResult:
    floor = _least_floor(lambda floor: points.p99(*directions.shape(power, floor)), HEADROOM * problem.limit)
    if floor is None:
        return SearchResult(points.alpha, points.beta, power, None, np.inf)
    first, second = directions.shape(power, floor)
    alpha, beta = points.alpha @ first, points.beta @ second
    return SearchResult(alpha, beta, power, floor, problem.value(problem.code(alpha, beta)))


def _least_floor(amplification: Callable[[float], float], limit: float) -> float | None:
    """Smallest floor under the limit, to a few percent; None where equal sizes already exceed it."""
    low, high = LEAST_FLOOR, 1.0
    if amplification(low) <= limit:
        return low
    if amplification(high) > limit:
        return None
    for _ in range(7):
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if amplification(middle) <= limit else (middle, high)
    return high
