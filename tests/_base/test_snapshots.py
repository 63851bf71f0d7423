"""When data is taken: what is changed after a call returned, between calls or by a task, is right or refused."""

import os
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

import kofn
from kofn.schemes import FUNCTIONS, SUMS, SumScheme, Terms
from processes import until
from taking import ENGINES, INPUTS, NUMBERS, A, B, Gate, engine, spaced, spoil, total


@pytest.fixture(scope="module", params=ENGINES)
def pool(request):
    with engine(request.param) as pool:
        yield pool


OPERANDS = {
    "array": np.array,
    "view": spaced,
    "fortran": np.asfortranarray,
    "transposed": lambda matrix: matrix.T.copy().T,
    "float32": lambda matrix: matrix.astype(np.float32),
    "complex": lambda matrix: matrix * (1 + 1j),
}


@pytest.mark.parametrize("code", ["mds", "uncoded", "kronecker", "matdot", "entangled-polynomial"])
@pytest.mark.parametrize("kind", OPERANDS)
def test_a_started_product_is_that_of_what_was_passed(pool, kind, code):
    first, second = OPERANDS[kind](A), B.copy()
    right = np.array(first) @ B
    gate = Gate(pool)
    job = kofn.start(kofn.schemes.PRODUCTS[code](first, second, workers=3, rows=6, rng=0), workers=gate)
    first[:], second[:] = 0.0, 7.0
    gate.open.set()
    answer = job.result(20)
    assert answer.exact and np.allclose(answer.value, right, rtol=1e-4 if kind == "float32" else 1e-9)


@pytest.mark.parametrize("build", [kofn.schemes.now_uep, partial(kofn.schemes.now_uep, realisation="window")])
@pytest.mark.parametrize("limit", [None, 60_000])
def test_estimates_of_a_started_job_and_their_bars_are_of_what_was_passed(build, limit):
    large, other = np.kron(A, np.ones((2, 2))), np.kron(B, np.ones((2, 2)))
    first, second = large.copy(), other.copy()
    with kofn.ThreadPool(3) as pool:
        gate = Gate(pool)
        scheme = build(first, second, blocks=(3, 3), rows=12, workers=3, rng=0)
        job = kofn.start(scheme, workers=gate, stop=kofn.Count(5), memory_limit_bytes=limit)
        first[:], second[:] = 0.0, 0.0
        gate.open.set()
        answer = job.result(20)
    error = np.linalg.norm(answer.value - large @ other) / np.linalg.norm(large @ other)
    assert 0 < answer.error < 1.2 and error < 4 * answer.error


@pytest.mark.parametrize("kind", INPUTS)
def test_a_started_sum_is_that_of_what_was_passed(pool, kind):
    x = INPUTS[kind]()
    right = 10 * total(x)
    gate = Gate(pool)
    code = SUMS["cyclic"](4, workers=3, rng=0)
    terms = Terms.of([lambda x, k=k: k * total(x) for k in range(1, 5)])
    job = kofn.start(SumScheme(code, terms, x), workers=gate)
    spoil(x)
    gate.open.set()
    answer = job.result(20)
    assert answer.exact and np.isclose(answer.value, right)


@pytest.mark.parametrize("code", ["uncoded", "repetition", "lagrange", "berrut"])
def test_started_function_values_are_those_of_what_was_passed(pool, code):
    X = A.reshape(4, 6, 18)[:3].copy()
    options = {"degree": 1} if code == "lagrange" else {}
    evaluations = FUNCTIONS[code](np.negative, X, workers=3, **options)
    everything = kofn.Count(len(evaluations.functions))
    right = kofn.run(evaluations.estimating(), workers=pool, stop=everything).value
    gate = Gate(pool)
    job = kofn.start(evaluations.estimating(), workers=gate, stop=everything)
    X[:] = 0.0
    gate.open.set()
    assert not np.allclose(right, 0) and np.allclose(job.result(20).value, right)


def test_a_started_scheme_of_ones_own_goes_on_as_what_was_passed(pool):
    x = NUMBERS.copy()
    box = [1.0]
    code = kofn.LinearCode("two", np.eye(2), np.eye(2), worker=[0, 1])
    tasks = [kofn.Task(lambda x, box: x * box[0], (x, box)) for _ in range(2)]
    scheme = kofn.schemes.CustomScheme(code, tasks)
    gate = Gate(pool)
    job = kofn.start(scheme, workers=gate)
    x[:], box[0] = 0.0, 9.0
    gate.open.set()
    assert np.array_equal(job.result(20).value, [NUMBERS, NUMBERS])


@pytest.mark.parametrize("kind", [*OPERANDS, "sparse"])
def test_an_operator_goes_on_as_the_matrix_that_it_was_made_of(pool, kind):
    matrix = csr_array(np.round(A)) if kind == "sparse" else OPERANDS[kind](A)
    first = matrix.toarray() if kind == "sparse" else np.array(matrix)
    x, y = np.ones(18), np.ones(24)
    with kofn.operator(matrix, workers=pool, rng=0) as operator:
        forward = operator @ x
        if kind == "sparse":
            matrix.data[:] = 7.0
        else:
            matrix[:] = 7.0
        assert np.allclose(forward, first @ x, rtol=1e-3) and np.allclose(operator @ x, forward)
        assert np.allclose(operator.H @ y, first.conj().T @ y, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("face", ["sum", "map"])
def test_a_function_is_taken_when_what_keeps_it_is_made(face):
    table = np.array([1.0])
    state = {"factor": 1.0}

    def f(x):
        return x * table[0] * state["factor"]

    with kofn.LocalPool(3) as pool:
        if face == "sum":
            coded = kofn.CodedSum([f] * 6, workers=pool, code="uncoded")
            call, right = coded, 6.0
        else:
            coded = kofn.CodedMap(f, workers=pool, code="uncoded")
            call, right = lambda x: coded([x] * 6), 1.0
        table[0] = 10.0
        assert np.all(call(1.0).value == right)
        state["factor"] = 5.0
        os.kill(pool.pids()[0], signal.SIGKILL)
        assert np.all(call(1.0).value == right)
        until(lambda: pool.state(0) == "idle")
        table[0] = 3.0
        assert np.all(call(1.0).value == right)
        coded.close()


def test_one_scheme_runs_any_number_of_times_also_at_once(pool):
    scheme = kofn.schemes.mds(A, B, workers=3, rng=0)
    jobs = [kofn.start(scheme, workers=pool) for _ in range(3)]
    assert all(np.allclose(job.result(20).value, A @ B) for job in jobs)
    with kofn.ThreadPool(2) as other:
        assert np.allclose(kofn.run(scheme, workers=other).value, A @ B)


def test_a_sum_that_is_run_again_remembers_nothing(pool):
    x = np.ones(20_000)
    scheme = SumScheme(SUMS["cyclic"](12, workers=3, rng=0), Terms.of([lambda x: x[:2] + 1.0] * 12), x)
    gate = Gate(pool)
    first = kofn.start(scheme, workers=gate)
    x[:] = 3.0
    second = kofn.start(scheme, workers=gate)
    gate.open.set()
    assert np.allclose(first.result(20).value, 24.0) and np.allclose(second.result(20).value, 48.0)
    shapes = [2, 3]
    scheme = SumScheme(SUMS["cyclic"](4, workers=3, rng=0), Terms.of([lambda n: np.ones(n)] * 4), shapes[0])
    assert kofn.run(scheme, workers=pool).value.shape == (2,)
    fresh = SumScheme(scheme.code, Terms.of([lambda n: np.ones(n)] * 4), shapes)
    for _ in range(2):
        shapes[:] = [shapes[0] + 1]
        assert kofn.run(fresh, workers=pool).value.shape == (shapes[0],)


def test_estimates_on_the_way_leave_the_place_of_the_answer_alone():
    out = np.empty((24, 12))
    with kofn.ThreadPool(3) as pool:
        job = kofn.start(kofn.schemes.mds(A, B, workers=3, rows=9, rng=0), workers=pool, out=out)
        estimates = list(job)
        for estimate in estimates[:-1]:
            assert estimate.value is not out
    assert estimates[-1].value is out and np.allclose(out, A @ B)


def test_a_coded_map_holds_the_functions_of_one_call():
    def build(f, inputs, *, workers=None, rng=None):
        return FUNCTIONS["uncoded"](lambda x: f(x), inputs, workers=workers)

    with kofn.ThreadPool(2) as pool, kofn.CodedMap(np.square, workers=pool, code=build) as squares:
        for _ in range(5):
            assert squares([1.0, 2.0]).value.tolist() == [1.0, 4.0]
            assert [len(slot.residents) for slot in pool._slots] == [1, 1]


class Known:
    """A code that knows its function, as what `kofn.fit` returns does."""

    f = np.negative

    def evaluations(self, inputs, *, workers, rng):
        return FUNCTIONS["uncoded"](self.f, inputs, workers=workers)

    def __repr__(self):
        return "Known()"


def test_a_fitted_code_answers_for_its_own_function_only():
    known = Known()
    with kofn.ThreadPool(2) as pool:
        with pytest.raises(kofn.ArgumentError, match=r"'f' must be the function that Known\(\) was fitted to"):
            kofn.map(np.square, [1.0, 2.0], workers=pool, code=known)
        for f, code in ((np.negative, known), (known, None), (known, known)):
            assert kofn.map(f, [1.0, 2.0], workers=pool, code=code).value.tolist() == [-1.0, -2.0]


def test_working_directory_and_import_path_travel_with_the_order(tmp_path, monkeypatch):
    (tmp_path / "number.txt").write_text("7")
    (tmp_path / "kofn_example_of_a_module.py").write_text("FIVE = 5\n")

    def f(x):
        import kofn_example_of_a_module as example

        return float(Path("number.txt").read_text()) * x + example.FIVE

    with kofn.LocalPool(2) as pool:
        kofn.map(np.square, [1.0, 2.0], workers=pool, code="uncoded")
        before = Path.cwd()
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(tmp_path)
        os.kill(pool.pids()[1], signal.SIGKILL)
        assert kofn.map(f, [1.0, 2.0, 3.0], workers=pool, code="uncoded").value.tolist() == [12.0, 19.0, 26.0]
        gate = Gate(pool)
        job = kofn.start(FUNCTIONS["uncoded"](f, [1.0, 2.0], workers=2).estimating(), workers=gate)
        monkeypatch.chdir(before)
        gate.open.set()
        assert job.result(20).value.tolist() == [12.0, 19.0]


@pytest.mark.parametrize("face", ["start", "operator"])
@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_a_file_that_was_changed_is_refused_and_a_private_map_is_copied(tmp_path, face, mode):
    name = tmp_path / "A.npy"
    np.save(name, A)
    matrix = np.load(name, mmap_mode=mode)
    if mode == "r+":
        matrix[0] = A[0]  # a page that is not on the disk yet

    def change():
        if mode == "r":
            np.save(name, 2 * A)
        else:
            matrix[0] = 7.0

    with kofn.ThreadPool(3) as pool:
        if face == "start":
            gate = Gate(pool)
            job = kofn.start(kofn.schemes.mds(matrix[:, :], B, workers=3, rng=0), workers=gate)
            change()
            gate.open.set()
            got, right = (lambda: job.result(20).value), A @ B
        else:
            operator = kofn.operator(matrix, workers=pool, rng=0)
            change()
            got, right = (lambda: operator.H @ np.ones(24)), A.T @ np.ones(24)
        if mode == "c":
            assert np.allclose(got(), right)
        else:
            with pytest.raises(kofn.KofnError, match="was changed or replaced while it was in use"):
                got()


def test_dask_arrays_and_files_that_stay_are_read_when_needed(tmp_path):
    dask = pytest.importorskip("dask.array")
    np.save(tmp_path / "A.npy", A)
    mapped = np.load(tmp_path / "A.npy", mmap_mode="r")
    with kofn.ThreadPool(3) as pool:
        for matrix in (mapped, mapped[:, :], dask.from_array(A, chunks=(7, 7))):
            job = kofn.start(kofn.schemes.mds(matrix, B, workers=3, rng=0), workers=pool)
            assert np.allclose(job.result(20).value, A @ B)


def test_what_nobody_can_write_to_is_not_copied():
    from kofn._base._snapshots import own

    frozen = A.copy()
    frozen.flags.writeable = False
    assert own(frozen) is frozen and own(frozen[1:]).base is frozen
    locked = A.view()
    locked.flags.writeable = False
    assert not np.may_share_memory(own(locked), A)  # somebody can write to what it is a view of


def test_other_errors_that_speak_of_reading_only_are_no_writes():
    def f(x):
        raise ValueError("the database is read-only")

    with kofn.ThreadPool(2) as pool, pytest.raises(kofn.FunctionError, match="raised ValueError at input 0") as caught:
        kofn.map(f, [1.0], workers=pool)
    assert "tried to write" not in str(caught.value)
