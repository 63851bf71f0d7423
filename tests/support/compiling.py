"""Compiles what Numba compiles, half a minute's work in a new clone; processes that come later read it from files."""

from kofn.schemes import sr
from kofn.simulation.bench import TRACES, bench
from kofn_studies.sums.modular import rows_needed
from kofn_studies.sums.rateless import rows_peeled

if __name__ == "__main__":
    list(bench("product", 8, {"noise": TRACES["noise"]}, ["plain", "coded"], 2, 0))
    generator = sr(20, degree=4, sources=20, rows=6, workers=20, rng=0).generator
    rows_needed(generator)
    rows_peeled(generator)
