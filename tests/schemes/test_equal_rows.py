"""Equal rows say the same, so they never share a worker while another is free: as dealt, when folded, and in a run."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kofn
from draws import examples
from golden_runs import EagerCopies
from kofn.codes._linear import LinearCode, groups_of, keep_apart
from kofn.jobs._collector import Collector
from kofn.jobs._loop import RunLoop
from kofn.jobs._placement import Placement
from kofn.jobs.scheduling._names import as_scheduler
from kofn.jobs.scheduling._queue import RowQueue
from kofn.schemes import FUNCTIONS, PRODUCTS, SUMS, Classes
from kofn.schemes._deal import deal_rows
from kofn.schemes.products.families import Windows
from kofn.simulation._virtual import VirtualPool

A = np.random.default_rng(0).standard_normal((12, 6))


def uneven(worker, group, count):
    """Groups of equal rows of which some worker has two more than another, or that share while one has none."""
    wrong = []
    for number in set(group):
        held = Counter(dict.fromkeys(range(count), 0))
        held.update(w for w, g in zip(worker, group, strict=True) if g == number)
        if max(held.values()) > min(held.values()) + 1:
            wrong.append(number)
    return wrong


def same_rows(code):
    """Which rows are equal, by comparing each with each."""
    rows = code.generator.toarray() if hasattr(code.generator, "toarray") else code.generator
    return [next(j for j in range(len(rows)) if (rows[j] == rows[i]).all()) for i in range(len(rows))]


CODES = {
    **{f"product {name}": lambda r, w, n=name: PRODUCTS[n](A, A.T, rows=r, workers=w, rng=0).code for name in PRODUCTS},
    "product repetition of two": lambda r, w: (
        PRODUCTS["repetition"](A, A.T, blocks=(min(2, r), 1), rows=r, workers=w).code
    ),
    "function repetition": lambda r, w: (
        FUNCTIONS["repetition"](abs, [1.0, 2.0, 3.0][: min(3, r)], rows=r, workers=w).code
    ),
    "function lagrange": lambda r, w: FUNCTIONS["lagrange"](abs, [1.0], degree=1, rows=r, workers=w).code,
    "function parity": lambda r, w: FUNCTIONS["parity"](abs, [1.0], rows=max(2, r), workers=w).code,
    "one class": lambda r, w: Windows(Classes.of_sizes(1, 1), gamma=(0.5, 0.5)).code(r, 0, workers=w),
}


@pytest.mark.parametrize("name", CODES)
def test_codes_deal_equal_rows_to_different_workers(name):
    for workers in (1, 2, 3, 4, 5, 8):
        for rows in (1, 2, 3, 4, 6, 8, 9, 12):
            code = CODES[name](rows, workers)
            assert not uneven(code.worker.tolist(), same_rows(code), workers)
            assert np.bincount(code.worker, minlength=workers).max() <= -(-code.rows // workers) + 1


@pytest.mark.parametrize("name", SUMS)
def test_sums_on_a_smaller_pool_keep_equal_rows_apart(name):
    code = SUMS[name](12, workers=6, rng=0)
    group = same_rows(code)
    assert [group.index(g) for g in group] == [code.groups.tolist().index(g) for g in code.groups.tolist()]
    for pool in (2, 3, 4, 5):
        worker = code.on_workers(pool).worker.tolist()
        assert not uneven(worker, group, pool)
        lanes = RowQueue(code, pool).lanes
        assert {row: w for w, lane in lanes.items() for row in lane} == dict(enumerate(worker))


@pytest.mark.parametrize("name", SUMS)
def test_workers_keep_the_rows_that_their_code_gives_them(name):
    code = SUMS[name](12, workers=6, rng=0)
    for pool in (6, 8):
        for worker, lane in RowQueue(code, pool).lanes.items():
            assert list(lane) == np.flatnonzero(code.worker == worker).tolist()


@pytest.mark.parametrize("inputs", range(1, 8))
def test_copies_dealt_round_stay_even(inputs):
    for workers in range(1, 9):
        for rows in range(1, 4 * inputs):
            group = np.arange(rows) % inputs
            worker = deal_rows(rows, workers, group)
            assert not uneven(worker.tolist(), group.tolist(), workers)
            assert np.ptp(np.bincount(worker, minlength=workers)) <= 1


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=24), st.integers(1, 6))
def test_any_rows_are_kept_apart_and_those_without_equals_stay(pairs, count):
    worker = np.array([w % count for w, _ in pairs])
    group = np.array([g for _, g in pairs])
    apart = keep_apart(worker, group, count)
    assert not uneven(apart.tolist(), group.tolist(), count)
    alone = np.bincount(group)[group] == 1
    assert (apart[alone] == worker[alone]).all() and apart.min() >= 0 and apart.max() < count


def test_minus_zero_is_zero_and_no_two_others_are_one():
    rows = np.array([[0.0, 1.0], [-0.0, 1.0], [1e-300, 1.0], [0.0, 1.0 + 2**-52]])
    assert groups_of(rows).tolist() == [0, 0, 1, 2]


@examples(60)
@given(st.data())
def test_whatever_workers_do_one_that_is_free_has_what_a_straggler_has_twice(data):
    """A virtual run on workers of any pace, one of which never answers and some of which die: copies are enough."""
    n = data.draw(st.integers(2, 5))
    inputs = data.draw(st.integers(1, 4))
    drawn = np.array([data.draw(st.integers(0, n + 2)) for _ in range(2 * inputs)])
    worker = keep_apart(drawn, np.arange(2 * inputs) % inputs, n + 3)
    code = LinearCode("copies", np.eye(inputs)[np.arange(2 * inputs) % inputs], np.eye(inputs), worker)
    paces = [[data.draw(st.sampled_from([1e-4, 0.5, 1.0, 3.0]))] for _ in range(n)]
    stuck = data.draw(st.integers(0, n - 1))
    paces[stuck] = [np.inf]
    others = [w for w in range(n) if w != stuck]
    dying = data.draw(st.lists(st.sampled_from(others), max_size=len(others) - 1, unique=True))
    base = PRODUCTS["repetition"](np.eye(inputs), np.eye(inputs), blocks=(inputs, 1), rows=2 * inputs)
    scheme = replace(base, code=code)
    pool = VirtualPool(paces, {w: data.draw(st.sampled_from([0.1, 0.7, 2.0])) for w in dying})
    stop = kofn.Decodable() | kofn.Deadline(100.0)
    scheduler = as_scheduler("kofn.run", "auto", data.draw(st.booleans()))
    scheduler = EagerCopies(scheduler) if data.draw(st.booleans()) else scheduler
    collector = Collector(code, scheme.prior, stop=stop)
    answer = RunLoop(scheme, pool, collector, Placement(pool), scheduler).run()
    assert answer.exact and answer.report.seconds < 50.0
    messages = Counter((a.worker, a.submitted, a.row % inputs) for a in answer.report.attempts)
    assert max(messages.values()) == 1
