"""Jobs that do not fit: rows encoded as they are asked for, results in a file, answers written where they belong."""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from types import SimpleNamespace
from weakref import WeakSet

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kofn
from kofn.arrays._file import Descriptor, FileMatrix
from kofn.arrays._npy import read_matrix
from kofn.arrays._source import Source
from kofn.jobs import _memory as budget
from kofn.jobs._stream import TaskStream
from kofn.schemes.products import _scheme as product

RNG = np.random.default_rng(3)
A, B = RNG.standard_normal((120, 70)), RNG.standard_normal((70, 90))
BLOCKS = {"mds": (8, 1), "mds-dense": (8, 1), "mds-chebyshev": (4, 1), "mds-low-weight": (8, 1), "matdot": (4, 4),
          "matdot-approximate": (4, 4)}  # fmt: skip


@pytest.fixture(scope="module")
def pool():
    with kofn.ThreadPool(3) as threads:
        yield threads


def scheme_of(code, first=A, second=B):
    rows = None if code == "uncoded" else 13
    return kofn.schemes.PRODUCTS[code](first, second, blocks=BLOCKS.get(code, (3, 4)),
                                       rows=rows, workers=3, rng=0)  # fmt: skip


def least(scheme, workers=3):
    return scheme.encoding().needed_at_once(workers) + workers * scheme.encoding().result_nbytes


class Counted(Source):
    """A matrix that notes what is read of it."""

    def __init__(self, matrix):
        self.matrix, self.shape, self.dtype, self.numbers = matrix, matrix.shape, matrix.dtype, 0

    def read(self, rows, columns):
        piece = self.matrix[rows, columns]
        self.numbers += piece.size
        return piece.copy()


# -- what does not fit --------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [code for code in kofn.schemes.PRODUCTS if "uep" not in code])
@pytest.mark.parametrize("room", [1.0, 1.7])
def test_every_code_works_in_the_least_memory(pool, tmp_path, code, room):
    scheme = scheme_of(code)
    out = np.lib.format.open_memmap(tmp_path / "C.npy", "w+", float, (120, 90))
    limit = int(room * least(scheme))
    answer = kofn.run(scheme, out=out, workers=pool, memory_limit_bytes=limit, scratch=tmp_path)
    assert answer.exact and answer.value is out
    near = 20 * float(answer.amplification) * 2.0**-52 * np.linalg.norm(A) * np.linalg.norm(B)
    np.testing.assert_allclose(out, A @ B, atol=near if code == "matdot-approximate" else 1e-7)  # digits are its price
    assert [path.name for path in tmp_path.iterdir()] == ["C.npy"]


@pytest.mark.parametrize("code", ["mds", "kronecker"])
def test_less_than_what_workers_need_at_once_is_refused(pool, code):
    scheme = scheme_of(code)
    with pytest.raises(kofn.ArgumentError, match=rf"must be at least {least(scheme)}, what 3 workers need at once"):
        kofn.run(scheme, workers=pool, memory_limit_bytes=least(scheme) - 1)


@pytest.mark.parametrize("code", ["mds", "kronecker", "uncoded"])
@pytest.mark.parametrize("room", [1.0, 1.5, 3.0])
def test_a_stream_stays_within_its_limit(code, room):
    scheme, alive = scheme_of(code), WeakSet()
    limit = int(room * scheme.encoding().needed_at_once(2))

    class Noted(np.ndarray):
        __hash__ = object.__hash__

    def allocate(shape, dtype):
        array = np.empty(shape, dtype).view(Noted)
        alive.add(array)
        assert sum(other.nbytes for other in list(alive)) <= limit
        return array

    stream, whole = TaskStream(scheme.encoding(), allocate, limit), scheme.encoding().encode(np.empty)
    held = []
    for row in [*range(len(whole)), 0, 3]:  # the last ones were lost and are asked for again
        held = held[-1:]
        held.append(stream[row])
        differences = [abs(f - w).max() for f, w in zip(held[-1].arguments, whole[row].arguments, strict=True)]
        assert max(differences) < 1e-12


def test_only_blocks_with_coefficients_are_read():
    first, second = Counted(A), Counted(B)
    scheme = scheme_of("uncoded", first, second)
    first.numbers = second.numbers = 0
    TaskStream(scheme.encoding(), np.empty, scheme.encoding().needed_at_once(1))[5]
    assert (first.numbers, second.numbers) == (A.size // 3, 70 * 23)


def test_more_room_means_fewer_passes():
    passes = []
    for rows_in_memory in (1, 3, 12):
        counted = Counted(A)
        scheme = scheme_of("mds-dense", counted)
        counted.numbers = 0
        stream = TaskStream(scheme.encoding(), np.empty, scheme.encoding().needed_at_once(rows_in_memory))
        for row in range(13):
            stream[row]
        passes.append(counted.numbers / A.size)
    assert passes == [13, 5, 2]  # ⌈13 / 1⌉, ⌈13 / 3⌉, ⌈13 / 12⌉


# -- where the answer goes ----------------------------------------------------------------------------


@pytest.mark.parametrize("code", kofn.schemes.PRODUCTS)
def test_out_is_written_and_is_the_value(pool, code):
    out = np.full((120, 90), np.nan)
    answer = kofn.matmul(A, B, workers=pool, code=code, rng=0, out=out)
    assert answer.value is out
    np.testing.assert_allclose(out, A @ B, atol=1e-9)


def locked():
    out = np.empty((120, 90))
    out.flags.writeable = False
    return out


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ([], "but got a list"),
        (np.empty((120, 91)), r"but got one of shape \(120, 91\)"),
        (np.empty((120, 90), np.float32), "dtype float32"),
        (locked(), "read-only"),
    ],
)
def test_a_place_that_cannot_take_the_answer_is_refused(out, said):
    with pytest.raises(kofn.ArgumentError, match=rf"kofn.matmul: 'out' must be an array of shape \(120, 90\).*{said}"):
        kofn.matmul(A, B, workers=2, out=out)


def test_the_answer_is_not_written_over_the_question():
    square = np.eye(5)
    with pytest.raises(kofn.ArgumentError, match="'out' must lie apart from B"):
        kofn.matmul(np.eye(5), square, workers=2, out=square)


def test_an_answer_that_is_not_cut_into_blocks_is_copied(pool):
    code = kofn.LinearCode("copies", np.ones((3, 1)), np.ones((1, 1)), worker=range(3))
    out = np.empty((120, 90))
    scheme = kofn.schemes.CustomScheme(code, [kofn.Task(np.matmul, (A, B))] * 3)
    assert kofn.run(scheme, out=out, workers=pool).value is out
    np.testing.assert_allclose(out, A @ B, atol=1e-10)


# -- matrices in files and chunks ---------------------------------------------------------------------


@given(st.booleans(), st.integers(0, 2**32 - 1))
def test_a_file_is_read_and_written_like_an_array(by_columns, seed):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 9, 2).tolist())
    wanted = rng.standard_normal(shape)
    with tempfile.TemporaryFile() as file:
        matrix = FileMatrix(Descriptor(file.fileno()), shape, float, 64, by_columns)
    matrix[:] = wanted
    for _ in range(4):
        spans = [slice(*sorted(rng.integers(0, size + 1, 2).tolist())) for size in shape]
        orders = [rng.permutation(size)[: rng.integers(1, size + 1)] for size in shape]
        for key in ((spans[0], spans[1]), (orders[0], spans[1]), (spans[0], orders[1])):
            assert np.array_equal(matrix[key], wanted[key])
            values = rng.standard_normal(wanted[key].shape)
            matrix[key] = wanted[key] = values
        both = orders[0][:, None], orders[1]
        matrix[both] = wanted[both] = rng.standard_normal((len(orders[0]), len(orders[1])))
    assert np.array_equal(np.asarray(matrix), wanted)


@pytest.mark.parametrize("order", ["C", "F"])
def test_mapped_files_and_mixed_types_are_read_by_pieces(pool, tmp_path, order):
    np.save(tmp_path / "A.npy", np.array(A, np.float32, order=order))
    np.save(tmp_path / "B.npy", np.array(B, order=order))
    wanted = A.astype(np.float32) @ B
    for opened in (lambda name: np.load(name, mmap_mode="r"), lambda name: read_matrix(name, "A")):
        first, second = opened(tmp_path / "A.npy"), opened(tmp_path / "B.npy")
        for code in ("mds", "kronecker", "matdot", "entangled-polynomial"):
            answer = kofn.matmul(first, second, workers=pool, code=code, rng=0)
            np.testing.assert_allclose(answer.value, wanted, atol=1e-9)
        with kofn.operator(second, workers=pool, rng=0) as op:
            np.testing.assert_allclose(op @ np.ones(90), B.sum(axis=1), atol=1e-10)
            np.testing.assert_allclose(op.H @ np.ones(70), B.sum(axis=0), atol=1e-10)


def test_dask_arrays_are_computed_chunk_by_chunk(pool, monkeypatch):
    da = pytest.importorskip("dask.array")
    from kofn.arrays._dask import DaskMatrix

    sizes, read = [], DaskMatrix.read
    monkeypatch.setattr(DaskMatrix, "read", lambda self, r, c: (sizes.append((r, c)), read(self, r, c))[1])
    first, second = da.from_array(A, chunks=(50, 40)), da.from_array(B, chunks=(30, 40))
    for code in kofn.schemes.PRODUCTS:
        sizes.clear()
        answer = kofn.matmul(first, second, workers=pool, code=code, rng=0)
        np.testing.assert_allclose(answer.value, A @ B, atol=1e-9)
        assert all(r.stop - r.start <= 50 and c.stop - c.start <= 40 for r, c in sizes)
        assert len(sizes) <= 3 * (3 * 2 + 3 * 3)
    with kofn.operator(first, workers=pool, rng=0) as op:
        np.testing.assert_allclose(op.H @ np.ones(120), A.sum(axis=0), atol=1e-10)
    unknown = first[first.sum(axis=1) > 0]
    for bad, said in ((first.astype(int), "float32"), (first[0], "2 dimensions"), (unknown, "chunks of known sizes")):
        with pytest.raises(kofn.ArgumentError, match=said):
            kofn.matmul(bad, second, workers=2)


def test_a_sketch_in_slabs_is_the_sketch(monkeypatch):
    da = pytest.importorskip("dask.array")
    for build in (kofn.schemes.uncoded, kofn.schemes.kronecker):
        whole = build(A, B, blocks=(3, 4), rows=12, rng=0).prior()
        with monkeypatch.context() as small:
            small.setattr(product, "SKETCH_BYTES", 32 * 7 * 8 * 13)
            for first, second in ((A, B), (Counted(A), Counted(B)), (da.from_array(A, chunks=(50, 40)), B)):
                parts = build(first, second, blocks=(3, 4), rows=12, rng=0).prior()
                np.testing.assert_allclose(parts.factor @ parts.factor.T, whole.factor @ whole.factor.T, rtol=1e-9)


# -- how much there is --------------------------------------------------------------------------------


def test_the_smallest_bound_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(budget, "memory_in_groups", lambda: 3500)
    assert budget.available_bytes() == (3500, "the memory limit of the control group")
    assert budget.memory_limit("f", None, 500)[0] == 1500
    with pytest.raises(kofn.ArgumentError, match=r"but got 1750, half of what the memory limit of the control group"):
        budget.check_memory("f", 1751, None)
    with pytest.raises(kofn.ArgumentError, match="'out' must be given where the answer, 86400 bytes, does not fit"):
        kofn.matmul(A, B, workers=2)


def test_a_folder_without_room_for_results_is_refused(pool, tmp_path, monkeypatch):
    scheme = scheme_of("mds")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=10))
    with pytest.raises(kofn.ArgumentError, match=r"'scratch' must be a folder with \d+ bytes to spare"):
        kofn.run(scheme, workers=pool, memory_limit_bytes=least(scheme), scratch=tmp_path)
    with pytest.raises(kofn.ArgumentError, match="'scratch' must be a folder that is there"):
        kofn.run(scheme, workers=pool, memory_limit_bytes=least(scheme), scratch=tmp_path / "none")


COMMAND = """
import sys
from kofn.cli import main
code = main(sys.argv[1:])
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
sys.exit(code)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits address space and reads its use")
def test_the_command_multiplies_files_larger_than_its_limit_or_says_why_not(tmp_path):
    first, second = np.ones((1000, 12000)), np.full((12000, 1000), 0.5)
    first[::7], second[:, ::3] = 2.0, -1.0
    np.save(tmp_path / "A.npy", first)
    np.save(tmp_path / "B.npy", second)
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}

    def run(*options):
        limit = 440 << 20  # libraries take most of it, SciPy among them
        return subprocess.run(
            [sys.executable, "-c", COMMAND, "matmul", "A.npy", "B.npy", "--out", "C.npy", "--workers", "2", "--quiet",
             *options],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        )  # fmt: skip

    refused = run()
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1
    assert "what 2 workers need at once" in refused.stderr and "ulimit -v" in refused.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["A.npy", "B.npy"]
    done = run("--code", "uncoded", "--blocks", "12", "12")
    assert done.returncode == 0, done.stderr
    peak = int(done.stdout.splitlines()[-1]) << 10
    assert peak < 160 << 20, peak  # the files have 192 MB
    assert np.array_equal(np.load(tmp_path / "C.npy"), first @ second)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["A.npy", "B.npy", "C.npy"]
