"""The simulations of sums agree with a Collector that is given the same runs, with theory, and with the paper's."""

import math

import numpy as np
import pytest

import kofn
import kofn.codes
from kofn.schemes import SUMS, lt, sr
from kofn.simulation._simulate import stop_times
from kofn_studies.sums.modular import rows_needed
from kofn_studies.sums.rateless import arrived, rateless, rows_peeled, rows_predicted
from kofn_studies.sums.times import Delays, bound, hinted, shared, walked

M = 40
SMALL = Delays.exponential(6, M, 1.0, 0.05, rng=1)
PAPER = Delays.exponential(2000, 1000, 5.0, 0.005, rng=2)


def replayed(code, delays, run, workers=None, estimator="lmmse"):
    """When a collector that is fed a run's arrivals is done, and how many it has then."""
    workers = np.arange(code.workers) if workers is None else workers
    rows, times = arrived(delays, run, code, workers)
    collector = kofn.Collector(code, estimator=estimator)
    for row, time in zip(rows, times, strict=True):
        collector.add(int(row), float(time))
        if collector.done:
            break
    return (collector.time if collector.done else math.inf), collector.count


@pytest.mark.parametrize("blocks", [8, 10, 40])
def test_walks_equal_their_replay(blocks):
    outcome = walked(SMALL, np.arange(M) * blocks // M, M, blocks)
    code = SUMS["cyclic"](M, blocks=blocks)
    for run in range(SMALL.runs):
        time, _ = replayed(code, SMALL, run)
        assert outcome.times[run] == pytest.approx(time, abs=1e-12)
    arrivals = SMALL.wake[:, code.worker] + 0.05 * code.work
    np.testing.assert_allclose(stop_times(code, arrivals), outcome.times, atol=1e-12)


def test_hints_equal_their_replay():
    starts = hinted(SMALL, M, 20)
    outcome = walked(SMALL, starts, M, 20)
    for run in range(SMALL.runs):
        awake = np.flatnonzero(starts[run] >= 0)
        code = SUMS["hint"](M, blocks=20, starts=starts[run][awake], workers=len(awake))
        time, count = replayed(code, SMALL, run, awake)
        assert outcome.times[run] == pytest.approx(time, abs=1e-12)
        assert outcome.messages[run] == count


@pytest.mark.parametrize(("name", "parts"), [("one", 1), ("uncoded", M), ("rep", 8), ("bcc", 8)])
def test_shares_equal_their_replay(name, parts):
    options = {"copies": 5} if name in ("rep", "bcc") else {}
    code = SUMS[name](M, rng=3, **options)
    share = np.full(M, -1)
    share[: code.rows] = (
        np.searchsorted(np.arange(parts + 1) * M // parts, code.generator.indices[code.generator.indptr[:-1]], "right")
        - 1
    )
    outcome = shared(SMALL, share, M, parts)
    for run in range(SMALL.runs):
        assert outcome.times[run] == pytest.approx(replayed(code, SMALL, run)[0], abs=1e-12)


@pytest.mark.parametrize("kind", ["sr", "sr-10", "lt"])
def test_rateless_runs_equal_their_replay(kind):
    codes = []

    def build(workers, rows, rng):
        if kind == "lt":
            codes.append(lt(M, rows=rows, workers=workers, rng=rng))
        else:
            access = 10 if kind == "sr-10" else M
            most = 1 + -(-(access - 1) // 4)
            codes.append(sr(M, degree=4, access=access, sources=M, rows=min(rows, most), workers=workers, rng=rng))
        return codes[-1]

    needed, estimator = (rows_peeled, "peeling") if kind == "lt" else (rows_needed, "lmmse")
    for run in range(4):
        one = Delays(SMALL.wake[run : run + 1], 0.05)
        outcome, counts = rateless(one, build, needed, least=4 * M, cap=30, rng=run)
        workers = np.argsort(one.wake[0])[: codes[-1].workers]
        time, count = replayed(codes[-1], one, 0, workers, estimator)
        assert (outcome.times[0], counts[0]) == (pytest.approx(time, abs=1e-12), count)


def test_runs_that_take_longer_are_not_drawn_until_they_are_short():
    """Beside codes drawn whole, for everybody and with all rows: the same count and the same time on average."""
    delays, m, cap = Delays.exponential(400, 40, 1.0, 0.01, rng=2), 40, 12
    outcome, counts = rateless(
        delays, lambda workers, rows, rng: lt(m, rows=rows, workers=workers, rng=rng), rows_peeled,
        least=5 * m, cap=cap, rng=1,
    )  # fmt: skip
    whole = []
    for run in range(delays.runs):
        code = lt(m, rows=cap, workers=m, rng=[9, run])
        rows, times = arrived(delays, run, code, np.arange(m))
        count = rows_peeled(code.generator[rows])
        whole.append((times[count - 1], count))
    for mine, theirs in zip((outcome.times, counts), np.transpose(whole), strict=True):
        difference = mine - theirs
        assert abs(difference.mean()) < 3 * difference.std() / np.sqrt(delays.runs)


def test_at_the_papers_size_the_prediction_is_the_exact_count():
    delays = Delays(PAPER.wake[:4], 0.005)
    seen = []

    def both(generator):
        seen.append((rows_needed(generator), rows_predicted(generator)))
        return seen[-1][0]

    def build(workers, rows, rng):
        return sr(1000, degree=10, sources=1000, rows=rows, workers=workers, rng=rng)

    outcome, _ = rateless(delays, build, both, least=7000, cap=100, rng=0)
    assert all(exact == predicted for exact, predicted in seen)
    assert 0.6 < np.median(outcome.times) < 0.8


def test_a_large_run_of_sum_recovery_is_exact_where_counting_says_so():
    code = sr(300, degree=8, sources=300, rows=12, workers=80, rng=0)
    rows, _ = arrived(Delays.exponential(1, 80, 1.0, 0.05, rng=4), 0, code, np.arange(80))
    count = rows_needed(code.generator[rows])
    decodings = [kofn.codes.decode(code, rows[:n]) for n in (count - 1, count)]
    assert [decoding.exact for decoding in decodings] == [False, True]


def test_closed_forms():
    levels = np.array([0.5, 0.99])
    uncoded = shared(PAPER, np.arange(1000), 1000, 1000).times
    rep = shared(PAPER, np.arange(1000) // 10, 1000, 100).times
    np.testing.assert_allclose(np.quantile(uncoded, levels), -5 * np.log(1 - levels ** (1 / 1000)) + 0.005, rtol=0.04)
    np.testing.assert_allclose(np.quantile(rep, levels), -0.5 * np.log(1 - levels ** (1 / 100)) + 0.05, rtol=0.04)
    assert shared(PAPER, np.where(np.arange(1000) == 0, 0, -1), 1000, 1).times.mean() == pytest.approx(10.0, rel=0.05)


def test_the_papers_setting():
    few = Delays(PAPER.wake[:300], 0.005)
    limit = bound(few, 1000)
    cyclic = walked(PAPER, np.arange(1000) // 10, 1000, 100)
    hint = walked(few, hinted(few, 1000, 100), 1000, 100)
    assert np.quantile(cyclic.times, 0.5) < 0.51 and np.quantile(cyclic.times, 0.99) < 0.72
    assert np.median(cyclic.messages) <= 450
    for level in (0.5, 0.99):
        assert np.quantile(hint.times, level) < 1.2 * np.quantile(limit, level)


def test_hints_survive_deaths_and_slow_workers():
    rng = np.random.default_rng(5)
    shape = (50, 1000)
    wake = rng.exponential(5.0, shape)
    pace = 0.005 * 5 ** rng.uniform(-0.5, 0.5, shape)
    death = np.where(rng.random(shape) < 0.2, wake + rng.exponential(0.1, shape), np.inf)
    hard = Delays(wake, pace, death)
    hint = walked(hard, hinted(hard, 1000, 100), 1000, 100)
    assert np.quantile(hint.times, 0.99) < 0.8
    assert np.all(hint.times >= bound(hard, 1000) - 1e-9)


def test_dead_workers_leave_blocks_undone():
    delays = Delays([[0.0, 1.0]], 1.0, [[0.5, np.inf]])
    assert walked(delays, np.array([0, 1]), 2, 2).times.tolist() == [3.0]
    assert np.isinf(bound(Delays([[0.0]], 1.0, 1.5), 2))
