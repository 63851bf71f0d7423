"""How many rows are needed, exactly: elimination over the integers modulo the prime 2²⁶ − 5.

Sparse rows with small integer coefficients are eliminated for nothing while one with a single open unknown is left;
where none is, the unknown with the most rows is set aside (inactivation). Then every unknown is an expression in
those set aside, about a third of all for sum recovery with d = 10, and the few dense equations between them are
eliminated modulo the prime, one after the other, until the target is a combination of them. Rounding has no part
in it: products of two numbers of 26 bits are exact in double precision. A rank falls short of the true one with a
probability of about unknowns/2²⁶.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._numba import compiled
from .._types import Indices

PRIME = (1 << 26) - 5

Integers = NDArray[np.int64]
Numbers = NDArray[np.float64]


def rows_needed(generator: Any, target: Any = None) -> int:
    """Number of rows, in the order given, from which the target is recovered; one more than there are for never.

    Parameters
    ----------
    generator : (rows, unknowns) CSR array of small integers
        Rows in order of arrival: M' of Mallick, Joshi 2022.
    target : (unknowns,) array of integers, optional
        The sum of all unknowns by default.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> rows_needed(csr_array([[1, 0, 0], [1, 1, 0], [0, 1, 1], [0, 1, 0]]))
    3
    """
    target = np.ones(generator.shape[1]) if target is None else np.asarray(target)
    low = rows_covering(generator, target)
    if low > generator.shape[0]:
        return low
    # The first guess is right nearly always at the sizes of the paper, and checked every time.
    start = min(generator.shape[0], max(low, min(np.count_nonzero(target), generator.shape[1])))
    while True:
        found = _needed_after(generator, target, start - 1)
        if found >= start or start == low:
            return max(found, low)
        start = low + (start - low) // 2


def rows_covering(generator: Any, target: Any = None) -> int:
    """Number of rows, in the order given, that see every unknown of the target; one more than there are for never.

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> rows_covering(csr_array([[1, 1, 0], [1, 0, 0], [0, 0, 1]]))
    3
    """
    rows, unknowns = generator.shape
    first = np.full(unknowns, rows)
    np.minimum.at(first, generator.indices, np.repeat(np.arange(rows), np.diff(generator.indptr)))
    wanted = np.ones(unknowns, dtype=bool) if target is None else np.asarray(target) != 0
    return int(first[wanted].max(initial=-1)) + 1


def _needed_after(generator: Any, target: Any, known: int) -> int:
    """Rows needed if at least ``known`` rows are there; ``known`` itself where they are enough."""
    starts, columns, values = map(_integers, (generator.indptr, generator.indices, generator.data))
    by_column = generator[:known].tocsc()
    candidates = np.argsort(-np.diff(by_column.indptr), kind="stable")
    using_starts, using = _integers(by_column.indptr), _integers(by_column.indices)
    order, found, aside = _sequence(starts, columns, using_starts, using, candidates, known)
    expressed = _expressed(starts, columns, values, order, found, aside, generator.shape[1])
    rest = np.concatenate([np.setdiff1d(np.arange(known), order), np.arange(known, generator.shape[0])])
    wanted = target.astype(np.int64) @ expressed % PRIME
    return max(known, int(_rows_until(starts, columns, values, expressed, rest, known, wanted)))


def _integers(numbers: Any) -> Integers:
    """Of one type whatever SciPy chose, so that one version of each loop is compiled."""
    return np.asarray(numbers.astype(np.int64, copy=False))


@compiled
def _sequence(
    starts: Indices, columns: Indices, using_starts: Indices, using: Indices, candidates: Indices, known_rows: int
) -> tuple[Indices, Indices, Indices]:
    """Which rows express which unknowns, in order, and which unknowns are set aside."""
    unknowns = len(candidates)
    open_count = starts[1 : known_rows + 1] - starts[:known_rows]
    known = np.zeros(unknowns, dtype=np.bool_)
    queue = np.empty(known_rows, dtype=np.int64)  # a row has one open unknown only once
    read, filled, candidate = 0, 0, 0
    rows, pivots, aside = [0] * 0, [0] * 0, [0] * 0
    for row in range(known_rows):
        if open_count[row] == 1:
            queue[filled] = row
            filled += 1
    for _ in range(unknowns):
        while read < filled and open_count[queue[read]] != 1:
            read += 1
        if read < filled:
            row = queue[read]
            read += 1
            place = starts[row]
            while known[columns[place]]:
                place += 1
            column = columns[place]
            rows.append(row)
            pivots.append(column)
        else:
            while known[candidates[candidate]]:
                candidate += 1
            column = candidates[candidate]
            aside.append(column)
        known[column] = True
        for place in range(using_starts[column], using_starts[column + 1]):
            row = using[place]
            open_count[row] -= 1
            if open_count[row] == 1:
                queue[filled] = row
                filled += 1
    return np.array(rows, dtype=np.int64), np.array(pivots, dtype=np.int64), np.array(aside, dtype=np.int64)


@compiled
def _expressed(
    starts: Indices, columns: Indices, values: Integers, rows: Indices, found: Indices, aside: Indices, unknowns: int
) -> Integers:
    """Every unknown in terms of those set aside, (unknowns, set aside)."""
    expressed = np.zeros((unknowns, len(aside)), dtype=np.int64)
    for place in range(len(aside)):
        expressed[aside[place], place] = 1
    for row, pivot in zip(rows, found):  # noqa: B905 (the compiler knows no strict=)
        coefficient = 1
        for place in range(starts[row], starts[row + 1]):
            if columns[place] == pivot:
                coefficient = values[place]
        total = _combined(starts, columns, values, expressed, row)
        expressed[pivot] = -total % PRIME if coefficient == 1 else -total * _inverse(coefficient % PRIME) % PRIME
    return expressed


@compiled
def _combined(starts: Indices, columns: Indices, values: Integers, expressed: Integers, row: int) -> Integers:
    """A row in terms of the unknowns set aside; an unknown without an expression yet counts as zero."""
    total = np.zeros(expressed.shape[1], dtype=np.int64)
    # Sums of a row's entries stay below 2⁶³: coefficients are small, and expressions of 26 bits.
    for place in range(starts[row], starts[row + 1]):
        value, expression = values[place], expressed[columns[place]]
        for number in range(len(total)):
            total[number] += value * expression[number]
    return total % PRIME


@compiled
def _rows_until(
    starts: Indices,
    columns: Indices,
    values: Integers,
    expressed: Integers,
    rows: Indices,
    known: int,
    target: Integers,
) -> int:
    """Add rows, in terms of the unknowns set aside, until they span the target; one more than there are for never."""
    size = expressed.shape[1]
    basis = np.zeros((size, size))
    is_lead = np.zeros(size, dtype=np.bool_)
    wanted = _centred(target)
    lead = _reduced(wanted, basis, is_lead, 0)
    for row in rows:
        if row >= known and lead == size:
            return int(row)
        rest = _centred(_combined(starts, columns, values, expressed, row))
        found = _reduced(rest, basis, is_lead, 0)
        if found < size:
            basis[found] = _centred(rest.astype(np.int64) * _inverse(int(rest[found] % PRIME)))
            is_lead[found] = True
            lead = _reduced(wanted, basis, is_lead, lead)
    return len(starts) - 1 if lead == size else len(starts)


@compiled
def _centred(numbers: Integers) -> Numbers:
    return ((numbers + PRIME // 2) % PRIME - PRIME // 2).astype(np.float64)


@compiled
def _reduced(row: Numbers, basis: Numbers, is_lead: NDArray[np.bool_], start: int) -> int:
    """Subtract rows of an echelon basis from ``row``, in place; its first number that none of them takes away.

    Numbers lie within half a prime around zero.
    """
    for column in range(start, len(row)):
        factor = row[column]
        if factor == 0:
            continue
        if not is_lead[column]:
            return column
        rest, pivot = row[column:], basis[column, column:]
        for place in range(len(rest)):
            total = rest[place] - factor * pivot[place]
            rest[place] = total - np.rint(total * (1.0 / PRIME)) * PRIME
    return len(row)


@compiled
def _inverse(number: int) -> int:
    """1/number modulo the prime, by Fermat: number to the power of prime − 2."""
    result, power, exponent = 1, number, PRIME - 2
    while exponent:
        if exponent & 1:
            result = result * power % PRIME
        power = power * power % PRIME
        exponent >>= 1
    return result
