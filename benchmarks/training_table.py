"""Test accuracy of coded training after 3 epochs, by contender and deadline: the paper's settings, nothing retuned.

    python benchmarks/training_table.py --data DIR --dataset fashion-mnist --out runs --seeds 3

Runs that are done are in OUT/training-runs.jsonl; an interrupted table goes on from there.
"""

from __future__ import annotations

import argparse

import numpy as np

import torch
from kofn_studies.datasets import load
from kofn_studies.figures.figure import Request
from kofn_studies.figures.training_setting import DEADLINES, NAMES, Setting, trained
from kofn_studies.training.sgd import SgdSchedule


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
    torch.set_num_threads(1)
    setting = Setting(load(asked.dataset, asked.data), "dense", SgdSchedule())
    request = Request(asked.seeds, data=asked.data, folder=asked.out)
    # Seed after seed, so that an interrupted table is whole for fewer seeds.
    cases = [(name, deadline, seed) for seed in range(asked.seeds) for name in asked.rows for deadline in DEADLINES]
    runs = [setting.run(name, asked.partition, deadline, seed) for name, deadline, seed in cases]
    tests = [curve.test[-1] for curve in trained(setting, request, runs)]
    table = np.reshape(tests, (asked.seeds, len(asked.rows), len(DEADLINES)))
    print(f"{setting.told}, {asked.partition}, {asked.seeds} seeds: mean ± standard deviation of test accuracy")
    print(f"| T_max | {' | '.join(f'{deadline:g}' for deadline in DEADLINES)} |\n|---|{'---|' * len(DEADLINES)}")
    for name, mean, deviation in zip(asked.rows, table.mean(axis=0), table.std(axis=0), strict=True):
        cells = (f"{m:.3f} ± {d:.3f}" for m, d in zip(mean, deviation, strict=True))
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
