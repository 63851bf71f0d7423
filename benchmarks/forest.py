"""A random forest served by 8 processes with random delays: uncoded, twice replicated, and coded, over 200 requests.

python benchmarks/forest.py [--requests 200] [--mean 0.2]
"""

from __future__ import annotations

import argparse
import functools
import time
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier

import kofn
from kofn.schemes import SUMS
from kofn.sklearn import CodedEnsemble

CODES: dict[str, dict[str, Any]] = {
    "kofn's default": {},
    "uncoded": {"code": "uncoded"},
    "replicated twice": {"code": functools.partial(SUMS["rep"], copies=2)},
    "cyclic, 2 blocks": {"code": functools.partial(SUMS["cyclic"], blocks=2)},
    "gradient code, s = 4": {"code": functools.partial(SUMS["gradient"], stragglers=4)},
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--mean", type=float, default=0.2, help="mean of the exponential delay of a message, seconds")
    arguments = parser.parse_args()
    X, y = load_digits(return_X_y=True)
    forest = RandomForestClassifier(100, random_state=0).fit(X[:1200], y[:1200])
    wanted = forest.predict_proba(X[1200:1400])
    print(f"{'code':28s} p50 ms  p99 ms  largest difference from scikit-learn")
    for name, options in CODES.items():
        workers = kofn.LocalPool(8, grace_seconds=np.inf)  # a late message stays late: nobody is replaced
        with (
            kofn.Straggling(workers, kofn.Exponential(arguments.mean), seed=1) as pool,
            CodedEnsemble(forest, workers=pool, rng=0, **options) as coded,
        ):
            coded.predict_proba(X[1200:1400])
            seconds, worst = [], 0.0
            for _ in range(arguments.requests):
                before = time.perf_counter()
                found = coded.predict_proba(X[1200:1400])
                seconds.append(time.perf_counter() - before)
                worst = max(worst, float(np.abs(found - wanted).max()))
                assert coded.answer.exact
        p50, p99 = np.quantile(seconds, [0.5, 0.99]) * 1e3
        print(f"{name:28s} {p50:6.0f}  {p99:6.0f}  {worst:.1e}", flush=True)


if __name__ == "__main__":
    main()
