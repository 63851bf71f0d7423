"""What wrong results are tried on: faults of every kind, matrices of every kind, and a code whose rows are known."""

from typing import Any

import numpy as np

import kofn
from kofn.codes import LinearCode, gaussian_frame
from kofn.testing import faults

FAULTS = (
    faults.BitFlip(),
    faults.BitFlip(bits=5),
    faults.BitFlip(part="sign"),
    faults.BitFlip(part="exponent"),
    faults.Scaled(1.5),
    faults.Constant(),
    faults.Stale(),
    faults.Tile(side=1),
    faults.Tile(side=3),
    faults.Swapped(),
    faults.NotANumber(),
    faults.Truncated(),
    faults.Colluding(),
)

SCALES = {"f": 15, "d": 20, "F": 15, "D": 20}
"""Powers of ten between which matrices are scaled, by type."""

KINDS = ("normal", "uniform", "constant", "whole", "zeros", "uneven", "cancelling")


def matrix(rng: np.random.Generator, kind: str, shape: tuple[int, int], dtype: str, scale: float = 1.0) -> Any:
    """Numbers of a kind."""
    real = {
        "normal": lambda: rng.standard_normal(shape),
        "uniform": lambda: rng.random(shape),
        "constant": lambda: np.full(shape, rng.random() + 0.1),
        "whole": lambda: rng.integers(-9, 9, shape).astype(float),
        "zeros": lambda: np.zeros(shape),
        "uneven": lambda: rng.standard_normal(shape) * 10.0 ** rng.uniform(-6, 6, shape),
        "cancelling": lambda: np.cumsum(rng.standard_normal(shape), axis=1) * (-1.0) ** np.arange(shape[1]),
    }[kind]()
    numbers = real + 1j * rng.standard_normal(shape) if dtype in "FD" else real
    return (scale * numbers).astype(dtype)


def scale(rng: np.random.Generator, dtype: str) -> float:
    """A size, as likely to be in one power of ten as in another."""
    return float(10.0 ** rng.uniform(-SCALES[dtype], SCALES[dtype]))


def give(result: Any) -> Any:
    """A task that returns what it is given."""
    return result


def frame(seed: int, dtype: str, rows: int, unknowns: int) -> tuple[kofn.schemes.CustomScheme, Any]:
    """A dense code whose tasks return its rows, and its unknowns: the oracle."""
    rng = np.random.default_rng(seed)
    code = LinearCode(
        "frame", gaussian_frame(rows, unknowns, rng), np.eye(unknowns), worker=range(rows), threshold=unknowns
    )
    truth = rng.standard_normal((unknowns, 8, 9))
    results = np.tensordot(code.generator, truth, axes=1).astype(dtype)
    tasks = [kofn.Task(give, (result,)) for result in results]
    return kofn.schemes.CustomScheme(code, tasks, epsilon=float(np.finfo(dtype).eps)), truth


def must_be_found(a: Any, b: Any, c: Any) -> Any:
    """How large an error of each number of C = A B is found but with probability 5e-7, as docs/wrong-results.md says.

    30 deviations of eight times the model, and more than rounding can do to the number.
    """
    return _in_rows(b.T, a.T, c.T).T if c.shape[1] <= 8 else _in_rows(a, b, c)


def _in_rows(a: Any, b: Any, c: Any) -> Any:
    eps, factor = float(np.finfo(c.dtype).eps), np.sqrt(2.0) if c.dtype.kind == "c" else 1.0
    wide = np.result_type(c.dtype, np.float64)
    a, b, c = a.astype(wide), b.astype(wide), c.astype(wide)
    of_rows, lines, n = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1), b.shape[1]
    spread = of_rows * (np.linalg.norm(lines) + np.sqrt(n) * lines.max())
    spread = spread + (np.sqrt(a.shape[1]) + np.sqrt(n)) * np.linalg.norm(c, axis=1)
    moved = 30.0 * 8.0 * factor * eps / 4.0 * spread
    most = (4.0 if c.dtype.kind == "c" else 1.0) * (a.shape[1] + 6.0) * eps * (np.abs(a) @ np.abs(b))
    return np.maximum(moved[:, None], most)
