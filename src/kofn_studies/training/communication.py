"""What training moves between a master and its workers in one step: coded products against plain data parallelism.

All counts are of numbers (4 bytes each in single precision), the forward pass left out: it is at the master in the
paper's scheme, at the workers in data parallelism.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise


@dataclass(frozen=True)
class Traffic:
    """What a step costs.

    Parameters
    ----------
    numbers : int
        Sent and received by the master.
    rounds : int
        Times that it sends and then waits.
    flops : int
        Done by all workers.

    Examples
    --------
    >>> Traffic(numbers=10, rounds=1, flops=80).flops_per_byte
    2.0
    """

    numbers: int
    rounds: int
    flops: int

    @property
    def flops_per_byte(self) -> float:
        """How much work a byte brings, at 4 bytes a number."""
        return self.flops / (4 * self.numbers)


def coded_products(sizes: Sequence[int], batch: int, blocks: tuple[int, int], workers: int) -> Traffic:
    """The backward products of dense layers, eqs. (26) and (27), each coded row × column with load 1.

    A worker gets one combination of row blocks of A and one of column blocks of B, and returns a block of A B. The
    two products of a layer go out together, because both wait for the layer above.

    Parameters
    ----------
    sizes : (layers + 1,) ints
        As (784, 100, 200, 10).
    batch : int
    blocks : (N, P)
    workers : int
        Each has one row of every product.

    Examples
    --------
    >>> coded_products((784, 100, 200, 10), 64, (3, 3), 15)
    Traffic(numbers=822613, rounds=3, flops=26112000)
    """
    n, p = blocks
    numbers, flops = Fraction(0), Fraction(0)
    for number, (inputs, outputs) in enumerate(pairwise(sizes)):
        products = [(inputs, batch, outputs)]  # X^T G
        if number > 0:
            products.append((batch, outputs, inputs))  # G V^T
        for rows, inner, columns in products:
            numbers += Fraction(rows * inner, n) + Fraction(inner * columns, p) + Fraction(rows * columns, n * p)
            flops += Fraction(2 * rows * inner * columns, n * p)
    return Traffic(round(workers * numbers), len(sizes) - 1, round(workers * flops))


def data_parallel(sizes: Sequence[int], batch: int, workers: int) -> Traffic:
    """Data parallelism through a master: weights go out, gradients come back; workers hold their data.

    Parameters
    ----------
    sizes : (layers + 1,) ints
    batch : int
        Of all workers together.
    workers : int

    Examples
    --------
    >>> data_parallel((784, 100, 200, 10), 64, 15)
    Traffic(numbers=3021300, rounds=1, flops=28518400)
    """
    weights = sum(inputs * outputs + outputs for inputs, outputs in pairwise(sizes))
    multiplied = [inputs * outputs for inputs, outputs in pairwise(sizes)]
    flops = 2 * batch * (3 * sum(multiplied) - multiplied[0])  # forward, and both products backward
    return Traffic(2 * workers * weights, 1, flops)
