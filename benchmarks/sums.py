"""Every figure that docs/sums.md states: latencies, exact counts, decoding at scale, and error bars.

python benchmarks/sums.py [--runs 5000] [--rateless-runs 500]
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from kofn.codes import Prior, decode
from kofn.codes.decoding import TermLearner
from kofn.schemes import SUMS
from kofn_studies.figures import FIGURES, Request
from kofn_studies.figures.sr_setting import PACE, SCHEMES, TERMS, Runs, paper_delays, sr_code
from kofn_studies.sums.modular import rows_needed
from kofn_studies.sums.rateless import arrived, rateless, rows_predicted
from kofn_studies.sums.times import Delays

RATELESS = ("lt", "lt-tuned", "sr-1000", "sr-400", "sr-100")


def table(title: str, delays: Delays, few: int, names: list[str]) -> None:
    print(f"\n{title}: T p50 / p90 / p99, over the bound, messages, never")
    limit = None
    for name in ["bound", *names]:
        mine = delays
        if name in RATELESS:
            mine = Delays(delays.wake[:few], delays.pace[:few], delays.death[:few])
        found = SCHEMES[name](Runs(mine, 0))
        levels = np.quantile(found.times, [0.5, 0.9, 0.99], method="lower")
        limit = levels if limit is None else limit
        ratio = levels / limit
        never = np.mean(np.isinf(found.times))
        print(
            f"  {name:9s} {levels[0]:8.3f} {levels[1]:8.3f} {levels[2]:8.3f}   {ratio[0]:7.2f} {ratio[2]:7.2f}"
            f"   {np.median(found.messages):7.0f}   {never:.4f}   ({mine.runs} runs)",
            flush=True,
        )


def theory(delays: Delays) -> None:
    print("\nclosed forms: quantile in theory and in simulation")
    levels = np.array([0.5, 0.99])
    rng = np.random.default_rng(7)
    coupons = [np.bincount(rng.integers(100, size=1000), minlength=100) for _ in range(2000)]
    times = np.geomspace(0.5, 60, 4000)
    bcc = np.mean([np.prod(1 - np.exp(-np.outer(times - 0.05, draw) / 5), axis=1) for draw in coupons], axis=0)
    forms = {
        "one": -5 * np.log(1 - levels) + 1000 * PACE,
        "unc": -5 * np.log(1 - levels ** (1 / 1000)) + PACE,
        "rep": -0.5 * np.log(1 - levels ** (1 / 100)) + 10 * PACE,
        "bcc": np.interp(levels, bcc, times),
    }
    for name, wanted in forms.items():
        found = np.quantile(SCHEMES[name](Runs(delays, 0)).times, levels, method="lower")
        print(f"  {name:4s} {np.round(wanted, 3)} {np.round(found, 3)}  off by {np.abs(found / wanted - 1).max():.1%}")


def exact_counts(runs: int = 100) -> None:
    delays = paper_delays(runs, 1)

    def build(workers: int, rows: int, rng: np.random.Generator) -> object:
        return sr_code(TERMS, 10, TERMS, workers, rows, rng)

    rateless(paper_delays(1, 2), build, rows_needed, least=7000, cap=1000)  # compiles, once for every installation
    before = time.process_time()
    _, exact = rateless(delays, build, rows_needed, least=7000, cap=1000, rng=3)
    seconds = time.process_time() - before
    _, predicted = rateless(delays, build, rows_predicted, least=7000, cap=1000, rng=3)
    same = np.mean(exact == predicted)
    print(f"\nexact M' of {runs} runs at m = 1000: {seconds:.2f} s with generation; as predicted in {same:.0%}")


def identity(runs: int = 50) -> None:
    """M' against ranks over a large prime field, from FLINT."""
    from flint import nmod_mat

    def rank(matrix: np.ndarray) -> int:
        return nmod_mat(*matrix.shape, matrix.ravel().tolist(), (1 << 61) - 1).rank()

    def spans_sum(generator: object, count: int) -> bool:
        rows = generator[:count].toarray().astype(np.int64)
        return rank(rows) == rank(np.vstack([rows, np.ones((1, TERMS), np.int64)]))

    def checked(generator: object) -> int:
        count = rows_needed(generator)
        same.append(spans_sum(generator, count) and not spans_sum(generator, count - 1))
        return count

    same: list[bool] = []
    delays = paper_delays(runs, 4)
    rateless(delays, lambda *few: sr_code(TERMS, 10, TERMS, *few), checked, least=7000, cap=1000, rng=5)
    print(f"identical to ranks over the field of 2^61 - 1 in {np.mean(same):.0%} of {len(same)} runs")


def decoding() -> None:
    print("\ndecoding (processor seconds)")
    for series in FIGURES["sr-decode"].figure(Request(2)).series:
        print(f"  {series.name:16s} {[float(f'{y:.3g}') for y in series.y]}")


def error_bars(runs: int = 300) -> None:
    print("\nbefore it is exact, cyclic blocks: relative RMS error and expected error (given / learned prior)")
    code = SUMS["cyclic"](TERMS)
    delays = paper_delays(runs, 2)
    rng = np.random.default_rng(8)
    for moment in (0.345, 0.5):
        for mean, spread, given in ((0.0, 1.0, True), (0.0, 1.0, False), (1.0, 0.1, False)):
            losses, expected, energies = [], [], []
            for run in range(runs):
                rows, times = arrived(delays, run, code, np.arange(TERMS))
                rows = rows[times <= moment]
                terms = mean + spread * rng.standard_normal(TERMS)
                results = {int(row): value for row, value in zip(rows, code.generator[rows] @ terms, strict=True)}
                prior = Prior.independent(np.ones(TERMS)) if given else TermLearner(code).prior(results)
                found = decode(code, rows, prior)
                estimate = found.matrix[0] @ np.array(list(results.values()))
                losses.append((estimate - terms.sum()) ** 2)
                scale = float(prior.energy(code.targets))
                expected.append(float(found.error) ** 2 * scale)
                energies.append(terms.sum() ** 2)
            true, bar, size = np.sqrt(np.mean(losses)), np.sqrt(np.mean(expected)), np.sqrt(np.mean(energies))
            kind = "given energies" if given else "learned"
            print(
                f"  t = {moment}: terms {mean:g} + {spread:g} N, {kind:14s}: {true / size:.3g}"
                f"   expected / true error {bar / true:.2f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5000)
    parser.add_argument("--rateless-runs", type=int, default=500)
    arguments = parser.parse_args()
    error_bars()
    exact_counts()
    identity()
    delays = paper_delays(arguments.runs, 0)
    table("paper's setting", delays, arguments.rateless_runs, [name for name in SCHEMES if name != "bound"])
    theory(delays)
    hard = ["sr-1000", "cyclic", "ring", "hint"]
    few, rng = min(arguments.runs, 300), np.random.default_rng(9)
    wake = delays.wake[:few]
    dead = np.where(rng.random(wake.shape) < 0.2, wake + rng.exponential(0.1, wake.shape), np.inf)
    table("20 % of the workers die", Delays(wake, PACE, dead), few, hard)
    table("paces spread over a factor of 5", Delays(wake, PACE * 5 ** rng.uniform(-0.5, 0.5, wake.shape)), few, hard)
    table("Pareto delays", Delays(1.0 + rng.pareto(1.25, wake.shape), PACE), few, hard)
    decoding()


if __name__ == "__main__":
    main()
