"""Accuracy on CIFAR-10 by epoch, T_max = 1: Tegin et al. 2022, Fig. 1, for as long as a CPU allows.

    python benchmarks/training_cifar.py --data DIR --out runs --warm-up 3 --epochs 9

As in the paper a quarter of the epochs comes first, without stragglers. Runs that are done are in
OUT/points; an interrupted benchmark goes on from there.
"""

from __future__ import annotations

import argparse

import numpy as np
from training_table import trained

from kofn_studies.datasets.part import Part
from kofn_studies.figures.training_setting import NAMES, WIDE, Setting
from kofn_studies.training.sgd import SgdSchedule

ROWS = ["no-straggler", "uncoded", "uncoded-wide", "kronecker-rescaled", *WIDE[1:]]


def main() -> None:
    """Print a table of accuracies by epoch, and how far each is behind no stragglers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="DIR", required=True)
    parser.add_argument("--out", metavar="DIR", required=True)
    parser.add_argument("--warm-up", metavar="N", type=int, default=3)
    parser.add_argument("--epochs", metavar="N", type=int, default=9)
    parser.add_argument("--images", metavar="N", type=int, default=50_000, help="train with the first so many")
    parser.add_argument("--seeds", metavar="N", type=int, default=1)
    parser.add_argument("--rows", metavar="NAME", nargs="+", choices=[*NAMES, *WIDE], default=ROWS)
    asked = parser.parse_args()
    images = Part("cifar10", asked.images, 10_000).found(asked.data)
    courses = SgdSchedule(asked.epochs, marks=1), SgdSchedule(asked.warm_up, marks=1)
    setting = Setting(images, images.load(asked.data), "convolutional", *courses)
    runs = [setting.run(name, "rxc", 1.0, seed) for name in asked.rows for seed in range(asked.seeds)]
    curves = trained(runs, asked.data, asked.out)
    print(f"{setting.title}, T_max = 1, {asked.seeds} seed(s), by epoch")
    for what in ("train", "test"):
        table = np.reshape([getattr(curve, what) for curve in curves], (len(asked.rows), asked.seeds, -1)).mean(axis=1)
        print(f"\n{'accuracy on mini-batches' if what == 'train' else 'accuracy on test images'}")
        for name, values in zip(asked.rows, table, strict=True):
            print(f"| {name} | {' | '.join(f'{value:.3f}' for value in values)} |")


if __name__ == "__main__":
    main()
