"""A kernel matrix that sharpens as results arrive from straggling workers, and how honest its error bars are.

    python benchmarks/sharpening.py [--runs 20] [--picture docs/sharpening.png]

Real jobs on real workers (threads, delayed by a latency model): every estimate is compared with the truth.
"""

from __future__ import annotations

import argparse
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

import kofn
from kofn.codes import decode

Floats = NDArray[Any]
WORKERS = 12
LATENCY = kofn.Exponential(0.03)


def digits(count: int = 600) -> Floats:
    """Digits sorted by their label, so that the kernel matrix shows ten squares."""
    data = load_digits()
    order = np.argsort(data.target[:count], kind="stable")
    X: Floats = data.data[:count][order]
    return X


def independent(seed: int) -> tuple[Floats, Floats]:
    """Blocks of independent entries with the paper's variances 10, 1, 0.1."""
    rng = np.random.default_rng([seed, 9])
    sizes = np.repeat(np.sqrt([10.0, 1.0, 0.1]), 60)
    return rng.standard_normal((180, 120)) * sizes[:, None], rng.standard_normal((120, 180)) * sizes


def errors(scheme: kofn.Scheme, truth: Floats, pool: Any) -> dict[int, tuple[float, float]]:
    """Expected and true relative error of every estimate of one job, by the number of results."""
    norm, seen = np.linalg.norm(truth), {}
    with kofn.start(scheme, workers=pool) as job:
        for estimate in job:
            if not estimate.exact:
                seen[estimate.count] = estimate.error, float(np.linalg.norm(estimate.value - truth) / norm)
    return seen


def honesty(name: str, runs: int, pool: Any) -> None:
    """Print root mean square errors, true and expected, by the number of results."""
    seen: dict[int, list[tuple[float, float]]] = {}
    X = digits()
    for seed in range(runs):
        A, B = independent(seed) if name == "independent blocks" else (X, X.T)
        if name.endswith("designed"):
            scheme = designed(A, B, seed).scheme(A, B, rng=seed)
        else:
            scheme = kofn.schemes.kronecker(A, B, blocks=(3, 3), rows=WORKERS, rng=seed)
        late = kofn.Straggling(pool, LATENCY, seed=seed)
        for count, pair in errors(scheme, A @ B, late).items():
            seen.setdefault(count, []).append(pair)
    print(f"{name}: results, runs, expected error, true error, true / expected")
    for count in sorted(seen):
        expected, true = np.sqrt(np.mean(np.square(seen[count]), axis=0))
        print(f"  {count:2} {len(seen[count]):4} {expected:10.4f} {true:10.4f} {true / expected:8.2f}")


def designed(A: Floats, B: Floats, seed: int) -> kofn.Design:
    """A code for these workers and a short deadline."""
    return kofn.design(A, B, workers=WORKERS, latency=LATENCY, deadline=0.01, blocks=(3, 3), rng=seed)


def picture(path: str, pool: Any) -> None:
    """Draw the kernel matrix after 1, 2, 4 and 9 results, with a common code and with a designed one."""
    from matplotlib.figure import Figure
    from PIL import Image

    X = digits(300)
    codes = {"kronecker": kofn.schemes.kronecker(X, X.T, blocks=(3, 3), rows=WORKERS, rng=3)}
    codes["kofn.design"] = designed(X, X.T, 3).scheme(X, X.T, rng=3)
    figure = Figure(figsize=(8.4, 4.4), layout="constrained")
    for axes, (name, scheme) in zip(figure.subplots(2, 4), codes.items(), strict=True):
        with kofn.start(scheme, kofn.Straggling(pool, LATENCY, seed=1)) as job:
            job.result()
        arrived = job.results  # in their order
        for axis, count in zip(axes, (1, 2, 4, 9), strict=True):
            rows = list(arrived)[:count]
            found = decode(scheme.code, rows, scheme.prior(), epsilon=scheme.epsilon)
            axis.imshow(scheme.assemble(found.matrix, [arrived[row] for row in rows]), cmap="magma", vmin=0, vmax=5000)
            axis.set_title(f"{count} of {WORKERS}: {'exact' if found.exact else f'± {found.error:.1%}'}", fontsize=9)
            axis.set(xticks=[], yticks=[])
        axes[0].set_ylabel(name)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=70)
    Image.open(drawn).convert("RGB").quantize(32).save(path, optimize=True)  # a small file for the docs


def main() -> None:
    """Print the tables and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--picture", default=None)
    asked = parser.parse_args()
    with kofn.ThreadPool(WORKERS) as pool:
        if asked.picture:
            picture(asked.picture, pool)
        for name in ("independent blocks", "digits kernel, kronecker", "digits kernel, designed"):
            honesty(name, asked.runs, pool)


if __name__ == "__main__":
    main()
