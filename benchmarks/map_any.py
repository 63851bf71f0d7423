"""`kofn.map` of any function beside what the standard library and joblib have, warm, each with its best size of chunks.

Times are taken in turn, and the smallest of each counts: of runs that were disturbed the least. With ``--hang`` one of
200 tasks hangs for ever where it is evaluated first; the others would not end, and are not run.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import joblib

import kofn

CASES = {"10 000 x 1 ms": (10_000, 1e-3, (50, 250, 1000)), "100 x 50 ms": (100, 50e-3, (1, 5))}


def work(seconds: float, number: int) -> int:
    """Be busy for so long."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
    return number


def nap(seconds: float, number: int) -> int:
    """Wait for so long, as for a disk or a server."""
    time.sleep(seconds)
    return number


def hang_once(folder: str, number: int) -> int:
    """Hang at task 100 where it is evaluated first."""
    if number == 100:
        try:
            (Path(folder) / "hung").touch(exist_ok=False)
        except FileExistsError:
            pass
        else:
            time.sleep(1e6)
    return nap(50e-3, number)


def timed(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare(workers: int, repeats: int, task: Callable[[float, int], int], share: float) -> None:
    """Print the smallest times of all ways, and how many times the best of the others kofn takes."""
    with (
        kofn.LocalPool(workers) as pool,
        ProcessPoolExecutor(workers) as executor,
        joblib.Parallel(n_jobs=workers) as parallel,
    ):
        for name, (tasks, seconds, chunks) in CASES.items():
            count = max(workers, int(tasks * share))
            f = partial(task, seconds)
            ways: dict[str, Callable[[], object]] = {"kofn": lambda: kofn.map(f, range(count), workers=pool)}  # noqa: B023
            for chunk in chunks:
                ways[f"executor {chunk}"] = lambda c=chunk: list(executor.map(f, range(count), chunksize=c))  # noqa: B023
            for batch in (*chunks, "auto"):
                calls = [joblib.delayed(f)(number) for number in range(count)]
                ways[f"joblib {batch}"] = partial(_batched, parallel, batch, calls)
            for call in ways.values():  # warm
                call()
            best = dict.fromkeys(ways, float("inf"))
            for _ in range(repeats):
                for way, call in ways.items():
                    best[way] = min(best[way], timed(call))
            others = min(seconds for way, seconds in best.items() if way != "kofn")
            told = ", ".join(f"{way} {seconds:.3f}" for way, seconds in best.items())
            print(f"{name} on {workers}: {best['kofn'] / others:.3f} times the best of {told}", flush=True)


def _batched(parallel: joblib.Parallel, batch: int | str, calls: list[object]) -> object:
    parallel.batch_size = batch
    return parallel(calls)


def hang(workers: int) -> None:
    """Print how much longer a map takes of which one task hangs."""
    with kofn.LocalPool(workers) as pool, tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "hung").touch()
        kofn.map(partial(hang_once, folder), range(200), workers=pool)  # warm
        plain = min(timed(lambda: kofn.map(partial(hang_once, folder), range(200), workers=pool)) for _ in range(3))
        (Path(folder) / "hung").unlink()
        hung = timed(lambda: kofn.map(partial(hang_once, folder), range(200), workers=pool))
        print(f"1 of 200 hangs, {workers} workers: {hung:.3f} s, {hung / plain:.2f} times the {plain:.3f} s without")


def main() -> None:
    """Compare what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--nap", action="store_true", help="tasks sleep, and need no processor")
    parser.add_argument("--share", type=float, default=1.0, help="of the tasks")
    parser.add_argument("--hang", action="store_true")
    given = parser.parse_args()
    if given.hang:
        hang(given.workers)
    else:
        compare(given.workers, given.repeats, nap if given.nap else work, given.share)


if __name__ == "__main__":
    main()
