"""Operators of matrices that lie at workers: both directions, what passes, and what a worker that stops costs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse.linalg import svds

import kofn
from kofn.engines import WorkerState
from kofn.engines._future import failed
from kofn.simulation import VirtualPool
from remote_pool import RemotePool, Tiled

RNG = np.random.default_rng(16)
A = RNG.standard_normal((60, 25))
WORKERS = 3


def tiled(matrix=A, rows=(10, 20, 35, 50), columns=(9,)):
    return Tiled(matrix, rows, columns, lambda n, p: n + p)


def virtual(delays=((1.0,),) * WORKERS, deaths=None, **options):
    return RemotePool(VirtualPool(delays, deaths), **options)


@pytest.mark.parametrize("redundancy", [0, 1, 2])
@pytest.mark.parametrize(("rows", "columns"), [((), ()), ((10, 20, 35, 50), (9,)), (tuple(range(1, 60)), (3, 20))])
def test_both_directions_are_numpys(rows, columns, redundancy):
    x, y = RNG.standard_normal((25, 2)), RNG.standard_normal((60, 3))
    with RemotePool(kofn.ThreadPool(WORKERS)) as pool:
        with kofn.operator(tiled(A, rows, columns), workers=pool, redundancy=redundancy) as op:
            assert op.shape == A.shape and np.allclose(op @ x, A @ x) and op.answer.exact
            assert np.allclose(op.H @ y, A.T @ y) and op.answer.exact
            assert np.allclose(op @ x[:, 0], A @ x[:, 0])
        assert not pool.kept  # what was copied is let go


def test_complex_matrices_are_conjugated():
    matrix = A + 1j * A[::-1]
    y = RNG.standard_normal(60) + 1j * RNG.standard_normal(60)
    with kofn.operator(tiled(matrix), workers=virtual()) as op:
        assert np.allclose(op.H @ y, matrix.conj().T @ y)


def test_only_vectors_pass():
    with kofn.operator(tiled(), workers=virtual()) as op:
        x = RNG.standard_normal((25, 1))
        report = op.product(x).report
        assert report.received_bytes == 60 * 8 and report.placed_bytes == 0
        assert report.sent_bytes <= len(report.attempts) * x.nbytes
        assert not report.moved_bytes


class Returning(RemotePool):
    """Its workers are starting again when the first blocks are sent to them."""

    looks = 0

    def state(self, worker):
        self.looks += 1
        return WorkerState.STARTING if self.looks < 20 else super().state(worker)

    def send(self, ref, worker):
        if self.looks < 20:
            self.looks += 1
            return failed(kofn.WorkerLost(f"worker {worker} is starting and cannot be sent anything", worker))
        return super().send(ref, worker)


def test_copies_wait_for_workers_that_are_coming_back():
    x = RNG.standard_normal(25)
    with Returning(kofn.ThreadPool(WORKERS)) as pool, kofn.operator(tiled(), workers=pool, redundancy=1) as op:
        assert np.allclose(op @ x, A @ x) and op.answer.exact


@pytest.mark.parametrize("worker", range(WORKERS))
def test_a_worker_that_never_answers_again_costs_little(worker):
    """It stops in the first product; in those that follow its rows are computed by who has copies."""
    pool = virtual(stopped={worker: 200.5})
    with kofn.operator(tiled(), workers=pool, redundancy=1) as op:
        usual = op.product(np.ones((25, 1))).report.seconds
        while pool.clock.now() < 200.0:
            op.product(np.ones((25, 1)))
        times = []
        for _ in range(10):
            x = RNG.standard_normal((25, 1))
            answer = op.product(x)
            assert answer.exact and np.allclose(answer.value, A @ x)
            times.append(answer.report.seconds)
        assert max(times[2:]) <= 4.0 * usual  # a message takes as long for one row as for four here


@pytest.mark.parametrize("worker", range(WORKERS))
def test_a_worker_that_dies_is_done_without(worker):
    with kofn.operator(tiled(), workers=virtual(deaths={worker: 100.5}), redundancy=1) as op:
        for _ in range(60):
            x, y = RNG.standard_normal((25, 1)), RNG.standard_normal((60, 1))
            assert np.allclose(op.product(x).value, A @ x)
            assert np.allclose(op.product(y, adjoint=True).value, A.T @ y)


def test_singular_values_are_scipys():
    with RemotePool(kofn.ThreadPool(WORKERS)) as pool, kofn.operator(tiled(), workers=pool, redundancy=1) as op:
        found = svds(op, k=3, random_state=0)[1]
    assert np.allclose(np.sort(found), np.linalg.svd(A)[1][:3][::-1])


@pytest.mark.parametrize("adjoint", [False, True])
def test_an_estimate_knows_its_error(adjoint):
    x = RNG.standard_normal((60 if adjoint else 25, 4))
    pool = virtual([[1.0], [1.0], [1.0] * 14 + [1e6]])
    with kofn.operator(tiled(), workers=pool, redundancy=0, rng=1) as op:
        for _ in range(20):
            answer = op.product(x, adjoint=adjoint, deadline=9.0)
            if not answer.exact:
                break
    exact = A.T @ x if adjoint else A @ x
    truth = np.linalg.norm(answer.value - exact) / np.linalg.norm(exact)
    assert not answer.exact and 0.1 < answer.error < 1.0
    assert answer.error == pytest.approx(truth, rel=0.5)


def test_an_estimate_of_runs_of_unequal_heights_mixes_them_where_they_overlap():
    alike = np.ones((60, 1)) @ RNG.standard_normal((1, 25)) + 0.01 * RNG.standard_normal((60, 25))
    x = RNG.standard_normal((25, 1))
    pool = virtual([[1.0], [1.0], [1.0] * 14 + [1e6]])
    with kofn.operator(tiled(alike, (7, 20, 31, 50), ()), workers=pool, redundancy=0, rng=1) as op:
        for _ in range(20):
            answer = op.product(x, deadline=9.0)
            if not answer.exact:
                break
    off = np.linalg.norm(answer.value - alike @ x) / np.linalg.norm(alike @ x)
    missing = (
        np.linalg.norm((alike @ x)[answer.value[:, 0] != 0]) if answer.exact else np.sqrt(np.mean(~answer.recovered))
    )
    assert not answer.exact and off < 0.8 * missing  # with zeros in its place all that is missing is off


def test_what_cannot_be_is_refused():
    with kofn.operator(tiled(), workers=virtual()) as op:
        with pytest.raises(kofn.ArgumentError, match="'x' must have 25 rows"):
            op.product(np.ones((24, 1)))
        with pytest.raises(kofn.ArgumentError, match="'redundancy' must be 1"):
            op.product(np.ones((25, 1)), redundancy=2)
    with pytest.raises(kofn.ArgumentError, match="less than the number of workers"):
        kofn.operator(tiled(), workers=virtual(), redundancy=3)
