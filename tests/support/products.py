"""Products with rows, columns and numbers of any size, and what exact arithmetic says of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kofn.codes import decode
from kofn.schemes import PRODUCTS
from kofn.testing._schemes import results_of
from oracles import code_verdict

DIGITS = 1200
"""Numbers are integers times 2^-DIGITS: no float64 is finer than 2^-1074."""

TINY = {np.dtype(np.float32): 2.0**-149, np.dtype(np.float64): 2.0**-1074}


def integers(array):
    """Finite floats, exactly, as Python ints in units of 2^-DIGITS."""

    def one(x):
        numerator, denominator = float(x).as_integer_ratio()
        return (numerator << DIGITS) // denominator

    return np.array([one(x) for x in np.ravel(array)], dtype=object).reshape(np.shape(array))


def floats(array):
    """Integers in units of 2^-2·DIGITS as the nearest floats; inf beyond."""

    def one(x):
        try:
            return x / (1 << 2 * DIGITS)
        except OverflowError:
            return np.inf

    return np.array([one(x) for x in np.ravel(array)], dtype=float).reshape(np.shape(array))


def parts(array):
    array = np.asarray(array)
    return [array.real, array.imag] if array.dtype.kind == "c" else [array]


def exact_product(A, B):
    """Real and imaginary part of A B in integers."""
    (a, *ai), (b, *bi) = map(integers, parts(A)), map(integers, parts(B))
    ai, bi = ai[0] if ai else 0 * a, bi[0] if bi else 0 * b
    return a @ b - ai @ bi, a @ bi + ai @ b


def lengths(matrix, axis):
    """Euclidean norms, in extended arithmetic."""
    wide = np.abs(matrix.astype(np.result_type(matrix.dtype, np.longdouble)))
    return np.sqrt((wide**2).sum(axis=1 - axis))


def errors(value, A, B):
    """The error of every entry of a product."""
    if np.finfo(np.longdouble).eps < 1e-18:  # digits and range enough, and a hundred times as fast
        wide = np.result_type(A, B, np.longdouble)
        return np.abs(value.astype(wide) - A.astype(wide) @ B.astype(wide)).astype(float)
    return exact_errors(value, A, B)


def exact_errors(value, A, B):
    """The same, in integers."""
    off = [
        np.abs(floats(integers(found) * (1 << DIGITS) - true))
        for found, true in zip(parts(value.astype(complex)), exact_product(A, B), strict=True)
    ]
    return np.hypot(*off)


def excess(value, A, B, amplification, epsilon):
    """The largest error of an entry in units of what `exact` allows."""
    allowed = (50 * amplification + A.shape[1]) * (
        epsilon * (lengths(A, 0)[:, None] * lengths(B, 1)) + TINY[np.dtype(value.real.dtype)]
    )
    return float(np.max(errors(value, A, B) / allowed, initial=0.0))


@dataclass
class Drawn:
    """A product, a code for it, and some rows that arrived."""

    A: np.ndarray
    B: np.ndarray
    name: str
    blocks: tuple[int, int]
    extra: int
    beyond: int
    seed: int

    def judged(self):
        """(called exact, could be exact, excess of the error of what is called exact)."""
        rng = np.random.default_rng(self.seed)
        n, p = self.blocks
        options = {"separate": rng.random() < 0.5} if self.name.endswith("-uep") and rng.random() < 0.3 else {}
        if self.name == "entangled-polynomial" and self.A.shape[1] > 1 and rng.random() < 0.6:
            options = {"inner": 2}
        if self.name in ("matdot", "matdot-approximate"):
            count, blocks = 2 * n - 1 + self.extra, (n, n)
        else:
            blocks = (n * p, 1) if self.name.startswith("mds") else (n, p)
            count = n * p + self.extra
        if "inner" in options:
            count = 2 * n * p + 1 + self.extra
        elif options:
            options |= {"partition": "cxr"}
            blocks = (n, n)
            count = n * n + self.extra
        scheme = PRODUCTS[self.name](self.A, self.B, blocks=blocks, rows=count, rng=rng, **options)
        code = scheme.code
        received = int(np.clip((code.threshold or code.unknowns) + self.beyond, 1, code.rows))
        rows = rng.permutation(code.rows)[:received]
        decoding = decode(code, rows, scheme.prior(), epsilon=scheme.epsilon)
        plain = decode(code.__class__(code.name, code.generator, code.targets, code.worker), rows)
        limit = np.sqrt(scheme.epsilon) / scheme.epsilon
        possible = bool(code_verdict(code, rows.tolist(), blocks).all()) and float(plain.amplification) <= limit
        if not decoding.exact:
            return False, possible, 0.0
        results = results_of(scheme)
        value = scheme.assemble(decoding.matrix, [results[row] for row in rows])
        assert value.dtype == np.result_type(self.A, self.B)
        return True, possible, excess(value, self.A, self.B, float(decoding.amplification), scheme.epsilon)


def scales(rng, count, dtype, kind):
    """Sizes of rows or columns."""
    most = 150 if np.dtype(dtype).itemsize // (1 + (np.dtype(dtype).kind == "c")) > 4 else 15
    exponents = {
        "none": np.zeros(count),
        "few": rng.uniform(-1, 1, count),
        "uniform": rng.uniform(-most, most, count),
        "two": rng.choice([-most, 0.0], count),
        "one": np.where(np.arange(count) == rng.integers(count), 0.97 * most, 0.0),
        "small": np.full(count, -most),
        "zeros": np.where(rng.random(count) < 0.3, -np.inf, rng.uniform(-3, 3, count)),
    }[kind]
    return 10.0**exponents


KINDS = ("none", "few", "uniform", "two", "one", "small", "zeros")


def matrices(rng, shape, dtype, kinds, form):
    """A and B with rows and columns of these kinds, made of Gaussians, small integers, a low rank, or equal numbers."""
    m, k, n = shape

    def numbers(rows, columns):
        if form == "integers":
            return rng.integers(-3, 4, (rows, columns)).astype(float)
        if form == "rank":
            return rng.standard_normal((rows, 1)) @ rng.standard_normal((1, columns))
        if form == "equal":
            return np.ones((rows, columns))
        return rng.standard_normal((rows, columns))

    def whole(rows, columns):
        made = numbers(rows, columns)
        return made + 1j * numbers(rows, columns) if np.dtype(dtype).kind == "c" else made

    A = whole(m, k) * scales(rng, m, dtype, kinds[0])[:, None]
    B = whole(k, n) * scales(rng, n, dtype, kinds[1])
    return A.astype(dtype), B.astype(dtype)
