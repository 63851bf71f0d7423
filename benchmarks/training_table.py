"""Test accuracy of coded training after 3 epochs, by contender and deadline: the paper's settings, nothing retuned.

    python benchmarks/training_table.py --data DIR --dataset fashion-mnist --out runs --seeds 3

Runs that are done are in OUT/points; an interrupted table goes on from there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np

from kofn import LocalPool
from kofn.engines import processors
from kofn_studies.datasets.part import Part
from kofn_studies.figures.training_setting import DEADLINES, NAMES, Setting
from kofn_studies.study import Store, complete
from kofn_studies.training.run import TrainingRun, curve_of
from kofn_studies.training.sgd import LearningCurve, SgdSchedule


def trained(runs: Sequence[TrainingRun], data: str, out: str) -> list[LearningCurve]:
    """The curves of runs, those that a folder lacks computed on all processors."""
    with LocalPool(processors(), threads_per_worker=1) as pool:
        results = complete(runs, Store(f"{out}/points"), pool, data, sys.stderr)
    return [curve_of(results[run]) for run in runs]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="DIR", required=True)
    parser.add_argument("--dataset", choices=["mnist", "fashion-mnist"], default="mnist")
    parser.add_argument("--out", metavar="DIR", required=True)
    parser.add_argument("--seeds", metavar="N", type=int, default=3)
    parser.add_argument("--partition", choices=["rxc", "cxr"], default="rxc")
    parser.add_argument("--rows", metavar="NAME", nargs="+", choices=NAMES, default=NAMES)
    asked = parser.parse_args()
    images = Part(asked.dataset).found(asked.data)
    setting = Setting(images, images.load(asked.data), "dense", SgdSchedule())
    # Seed after seed, so that an interrupted table is whole for fewer seeds.
    cases = [(name, deadline, seed) for seed in range(asked.seeds) for name in asked.rows for deadline in DEADLINES]
    runs = [setting.run(name, asked.partition, deadline, seed) for name, deadline, seed in cases]
    tests = [curve.test[-1] for curve in trained(runs, asked.data, asked.out)]
    table = np.reshape(tests, (asked.seeds, len(asked.rows), len(DEADLINES)))
    print(f"{setting.title}, {asked.partition}, {asked.seeds} seeds: mean ± standard deviation of test accuracy")
    print(f"| T_max | {' | '.join(f'{deadline:g}' for deadline in DEADLINES)} |\n|---|{'---|' * len(DEADLINES)}")
    for name, mean, deviation in zip(asked.rows, table.mean(axis=0), table.std(axis=0), strict=True):
        cells = (f"{m:.3f} ± {d:.3f}" for m, d in zip(mean, deviation, strict=True))
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
