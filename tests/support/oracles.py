"""Second opinions that share no arithmetic with kofn: ranks over prime fields, rationals, polynomial identities."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import sympy

PRIME = 2**61 - 1


def residues(matrix, prime=PRIME):
    """Floats are dyadic rationals, so they have exact residues."""
    fractions = [[Fraction(float(x)) for x in row] for row in np.asarray(matrix)]
    return [[x.numerator * pow(x.denominator, -1, prime) % prime for x in row] for row in fractions]


def reduced(row, basis, prime=PRIME):
    row = list(row)
    for column in range(len(row)):
        factor = row[column]
        if factor and column in basis:
            row = [(x - factor * y) % prime for x, y in zip(row, basis[column], strict=True)]
    return row


def echelon(rows, prime=PRIME):
    """Pivot column -> normalised row, one for each dimension of the row space."""
    basis = {}
    for row in rows:
        rest = reduced(row, basis, prime)
        pivot = next((column for column, x in enumerate(rest) if x), None)
        if pivot is not None:
            inverse = pow(rest[pivot], -1, prime)
            basis[pivot] = [x * inverse % prime for x in rest]
    return basis


def in_row_space(generator, targets, prime=PRIME):
    """Which targets lie in the row space of residues ``generator``, and its rank."""
    basis = echelon(generator, prime)
    return np.array([not any(reduced(row, basis, prime)) for row in targets], dtype=bool), len(basis)


def float_verdict(generator, targets):
    return in_row_space(residues(generator), residues(targets))


def chebyshev_field(nodes):
    """A prime field with a root of unity of order 4·nodes, and that root: cosines of the nodes live in it."""
    order = 4 * nodes
    prime = next(p for p in range(2**61 // order * order + 1, 2**62, order) if sympy.isprime(p))
    factors = sympy.primefactors(order)
    for base in range(2, 1000):
        root = pow(base, (prime - 1) // order, prime)
        if all(pow(root, order // factor, prime) != 1 for factor in factors):
            return prime, root
    raise AssertionError("a root exists")


def chebyshev_residues(nodes, count):
    """T_0 … T_{count-1} at the zeros of T_nodes, in `chebyshev_field`: 2 cos(jθ) = ζ^j + ζ^-j."""
    prime, root = chebyshev_field(nodes)
    half = pow(2, -1, prime)
    powers = [[j * (2 * i + 1) % (4 * nodes) for j in range(count)] for i in range(nodes)]
    return prime, [[(pow(root, j, prime) + pow(root, -j, prime)) * half % prime for j in row] for row in powers]


def sine_residues(nodes, count):
    """sin(jθ), j = 1 … count, at θ = πi / (nodes + 1), in `chebyshev_field`: 2i sin(jθ) = ζ^j − ζ^-j."""
    prime, root = chebyshev_field(nodes + 1)
    order = 4 * (nodes + 1)
    powers = [[2 * i * j % order for j in range(1, count + 1)] for i in range(1, nodes + 1)]
    return prime, [[(pow(root, j, prime) - pow(root, -j, prime)) % prime for j in row] for row in powers]


def code_verdict(code, rows, blocks):
    """Which targets the rows recover, in the exact arithmetic of the published code."""
    if code.name == "entangled-polynomial":
        prime, values = sine_residues(code.rows, code.unknowns)
        return in_row_space([values[row] for row in rows], residues(code.targets, prime), prime)[0]
    if code.name not in ("mds-chebyshev", "polynomial", "matdot"):
        return float_verdict(code.generator[rows], code.targets)[0]
    prime, values = chebyshev_residues(code.rows, code.unknowns)
    generator = [values[row] for row in rows]
    if code.name == "polynomial":
        n, p = blocks
        generator = [[row[i] * row[j * n] % prime for i in range(n) for j in range(p)] for row in generator]
    return in_row_space(generator, residues(code.targets, prime), prime)[0]


def smallest_solution(generator, target):
    """The V of least norm with V G = t for a G of full row rank, in rationals."""
    matrix = sympy.Matrix([[sympy.Rational(*float(x).as_integer_ratio()) for x in row] for row in generator])
    wanted = sympy.Matrix([[sympy.Rational(*float(x).as_integer_ratio()) for x in target]])
    return np.array((wanted * matrix.T * (matrix * matrix.T).inv()).tolist(), dtype=float)[0]


def chebyshev_coefficients(A, B, parts):
    """Chebyshev coefficients of Σ q_i A_i · Σ q_j B_j, from 2 T_i T_j = T_{i+j} + T_{|i-j|}."""
    pieces = zip(np.array_split(A, parts, axis=1), np.array_split(B, parts, axis=0), strict=True)
    left, right = zip(*pieces, strict=True)
    result = np.zeros((2 * parts - 1, len(A), B.shape[1]), np.result_type(A, B))
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            inner = min(a.shape[1], len(b))  # the rest meets padding
            size = (2 if i else 1) ** 0.5 * (2 if j else 1) ** 0.5
            pair = size * a[:, :inner] @ b[:inner]
            result[i + j] += pair / 2
            result[abs(i - j)] += pair / 2
    return result


def cells(A, B, n, p, parts):
    """Products A_ij B_j'l of blocks, padded, by (i, j, j', l)."""
    height, width = -(-len(A) // n), -(-B.shape[1] // p)
    rows, columns = np.array_split(A, n), np.array_split(B, p, axis=1)
    left = [np.array_split(block, parts, axis=1) for block in rows]
    right = [np.array_split(block, parts) for block in columns]
    for i, j, other, l in np.ndindex(n, parts, parts, p):
        a, b = left[i][j], right[l][other]
        inner = min(a.shape[1], len(b))  # the rest meets padding
        product = np.zeros((height, width), np.result_type(A, B))
        product[: len(a), : b.shape[1]] = a[:, :inner] @ b[:inner]
        yield (i, j, other, l), product


def sine_coefficients(A, B, n, p, parts):
    """Σ cos(jθ) cos(i·parts·θ) A_ij · Σ sin((parts − j)θ) cos(l·parts·n·θ) B_jl as a sum of sines."""
    found = 0
    for (i, j, other, l), product in cells(A, B, n, p, parts):
        size = (2 if j else 1) ** 0.5 * (2 if other else 1) ** 0.5
        result = np.zeros((parts * n * p + parts - 1, *product.shape), product.dtype)
        for first in (j, -j):
            for second in (i * parts, -i * parts):
                for third in (l * parts * n, -l * parts * n):
                    sine = parts - other + first + second + third
                    if sine:
                        result[abs(sine) - 1] += np.sign(sine) * size / 8 * product
        found = found + result
    return found


def power_coefficients(A, B, parts):
    """Σ x^m A_m · Σ x^(parts − 1 − m) B_m by powers of x."""
    found = 0
    for (_, j, other, _), product in cells(A, B, 1, 1, parts):
        found = found + np.eye(2 * parts - 1)[j + parts - 1 - other][:, None, None] * product
    return found


def gaussian(shape, dtype, rng):
    """Gaussian entries of any of the four types."""
    values = rng.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        values = values + 1j * rng.standard_normal(shape)
    return values.astype(dtype)
