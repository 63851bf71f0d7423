"""Products that reach to the ends of their type, and matrices that change before a scheme of them is run."""

from __future__ import annotations

import numpy as np
import pytest

import kofn
from kofn.schemes import PRODUCTS
from processes import crossed, slow_but
from products import excess

ENDS = {
    "float32": (1e15, 1e-15), "float32 and more": (5e17, 1e-20), "complex64": (1e15, 1e-15),
    "float64": (1e150, 1e-150), "float64 and more": (1e153, 1e-160), "complex128": (1e150, 1e-150),
}  # fmt: skip
"""Sizes of rows and of columns."""

SIZES = ("large", "small", "either", "any")


@pytest.fixture(scope="module")
def pool():
    with kofn.ThreadPool(8) as threads:
        yield threads


def sizes(rng, count, ends, which):
    high, low = ends
    drawn = {
        "large": np.full(count, high),
        "small": np.full(count, low),
        "either": rng.choice([high, low], count),
        "any": 10 ** rng.uniform(np.log10(low), np.log10(high), count),
    }
    return drawn[which]


def pair(rng, shape, kind, first, second):
    m, inner, n = shape
    dtype = np.dtype(kind.split()[0])
    A, B = rng.standard_normal((2, m, inner)), rng.standard_normal((2, inner, n))
    A, B = (A[0] + 1j * A[1], B[0] - 1j * B[1]) if dtype.kind == "c" else (A[0], B[0])
    A, B = A * sizes(rng, m, ENDS[kind], first)[:, None], B * sizes(rng, n, ENDS[kind], second)
    return (A / inner**0.5).astype(dtype), (B / inner**0.5).astype(dtype)


@pytest.mark.parametrize(("code", "kind"), crossed(sorted(PRODUCTS), ENDS))
def test_whatever_fits_is_right_in_every_entry(pool, code, kind):
    rng = np.random.default_rng(0)
    for first in SIZES:
        for second, inner in zip(SIZES, (3, 200, 8, 30), strict=True):
            A, B = pair(rng, (21, inner + 9, 17), kind, first, second)
            answer = kofn.matmul(A, B, workers=pool, code=code, rng=1)
            assert answer.exact
            assert excess(answer.value, A, B, answer.amplification, np.finfo(A.dtype).eps) <= 1.0


@pytest.mark.parametrize("partition", ["rxc", "cxr"])
@pytest.mark.parametrize("realisation", ["factor", "window"])
@pytest.mark.parametrize("name", ["now-uep", "ew-uep"])
def test_every_way_to_cut_knows_the_ends(name, realisation, partition, pool):
    rng = np.random.default_rng(1)
    for first in SIZES:
        A, B = pair(rng, (21, 13, 17), "float64", first, "any")
        scheme = PRODUCTS[name](A, B, workers=8, rng=2, partition=partition, realisation=realisation)
        answer = kofn.run(scheme, workers=pool)
        assert answer.exact
        assert excess(answer.value, A, B, answer.amplification, 2.0**-52) <= 1.0


@pytest.mark.parametrize("code", ["mds", "repetition", "uncoded"])
@pytest.mark.parametrize("kind", ["float32", "float64", "complex128"])
def test_an_operator_knows_the_ends_in_both_directions(pool, code, kind):
    rng = np.random.default_rng(2)
    for first in SIZES:
        A, x = pair(rng, (21, 13, 3), kind, first, "any")
        _, y = pair(rng, (2, 21, 3), kind, "any", "small")
        with kofn.operator(A, workers=pool, code=code, rng=0) as op:
            for matrix, factor, adjoint in ((A, x, False), (A.conj().T, y, True)):
                found = op.product(factor, adjoint=adjoint).value
                assert op.answer.exact
                assert excess(found, matrix, factor, op.answer.amplification, np.finfo(A.dtype).eps) <= 1.0


@pytest.mark.parametrize("code", sorted(PRODUCTS))
def test_rows_of_subnormals_are_products(pool, code):
    rng = np.random.default_rng(3)
    A, B = rng.standard_normal((12, 5)) * 1e-310, rng.standard_normal((5, 8)) * 1e150
    answer = kofn.matmul(A, B, workers=pool, code=code, rng=0)
    assert answer.exact
    assert excess(answer.value, A, B, answer.amplification, 2.0**-52) <= 1.0


@pytest.mark.parametrize("code", sorted(PRODUCTS))
def test_one_number_that_no_float_holds_is_refused(pool, code):
    A, B = np.ones((12, 5)), np.ones((5, 8))
    A[7] *= 1e200
    B[:, 2] *= 1e150
    with pytest.raises(kofn.ArgumentError, match="'A' must have a product with B that stays well inside float64"):
        kofn.matmul(A, B, workers=pool, code=code, rng=0)


CHANGES = {
    "larger rows": lambda A: np.multiply(A[:5], 1e20, out=A[:5]),
    "one row more": lambda A: A.__setitem__(3, 1.0),
    "one row less": lambda A: A.__setitem__(8, 0.0),
    "no number": lambda A: A.__setitem__((2, 2), np.nan),
    "larger columns": lambda A: np.multiply(A[:, :3], 1e30, out=A[:, :3]),
    "all larger": lambda A: np.multiply(A, 1e250, out=A),
    "all twice": lambda A: np.multiply(A, 2.0, out=A),
    "others alike": lambda A: A.__setitem__(slice(4, None), np.random.default_rng(8).uniform(1, 2, (20, 9))),
}


@pytest.mark.parametrize(
    ("how", "which"), [("run", "A"), ("run", "B"), ("start", "A"), ("stream", "B"), ("cast", "A"), ("map", "B")]
)
@pytest.mark.parametrize("code", slow_but(sorted(PRODUCTS), {"mds", "kronecker", "now-uep"}))
def test_matrices_that_changed_before_the_run_are_right_or_refused(pool, code, how, which, tmp_path):
    rng = np.random.default_rng(4)
    for name, change in CHANGES.items():
        changing, other = rng.uniform(1, 2, (24, 9)), rng.standard_normal((9, 24))
        changing[3] = 0.0
        if how == "map":
            changed = np.lib.format.open_memmap(tmp_path / f"{name}.npy", "w+", float, changing.shape)
            changed[:] = changing
            changing = changed
        if how == "cast":
            other = other.astype(np.complex128)
        given = (changing, other) if which == "A" else (other.T, changing.T)
        scheme = PRODUCTS[code](*given, workers=8, rng=1)
        change(changing)
        try:
            if how == "start":
                answer = kofn.start(scheme, workers=pool).result()
            else:
                answer = kofn.run(scheme, workers=pool, memory_limit_bytes=20_000 if how == "stream" else None)
        except (kofn.ArgumentError, kofn.FileError) as error:
            assert f"'{which}' must keep finite numbers" in str(error) or how == "map" or "memory" in str(error)
            assert name != "all twice" or how in ("map", "stream")
            continue
        assert excess(np.asarray(answer.value), *given, answer.amplification, 2.0**-52) <= 1.0 or not answer.exact


def test_one_call_looks_once(monkeypatch, pool):
    from kofn.arrays import _reductions as passes

    looks = []
    norms_of = passes._norms_of
    monkeypatch.setattr(passes, "_norms_of", lambda tile, axis: looks.append(axis) or norms_of(tile, axis))
    kofn.matmul(np.ones((20, 5)), np.ones((5, 6)), workers=pool, code="mds", rng=0)
    assert sorted(looks) == [0, 1]


def test_raised_rows_go_to_files_and_clusters_in_their_own_units(pool, tmp_path):
    from kofn.arrays._file import Descriptor, FileMatrix

    rng = np.random.default_rng(5)
    A, B = pair(rng, (37, 11, 19), "float64", "any", "either")
    for number, code in enumerate(("mds", "kronecker", "matdot", "ew-uep", "uncoded")):
        for by_columns in (False, True):
            with (tmp_path / f"{number}{by_columns}").open("w+b") as file:
                out = FileMatrix(Descriptor(file.fileno()), (37, 19), float, by_columns=by_columns)
                answer = kofn.matmul(A, B, workers=pool, code=code, rng=1, out=out)
                assert answer.exact
                assert excess(out[:], A, B, answer.amplification, 2.0**-52) <= 1.0


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed")
    options = {"processes": False, "n_workers": 3, "threads_per_worker": 1, "dashboard_address": ":0"}
    with distributed.Client(**options, set_as_default=False) as client:
        yield client


@pytest.mark.parametrize("code", ["mds", "kronecker", "matdot", "now-uep", "uncoded"])
def test_raised_rows_are_written_to_a_cluster_and_read_from_one(client, code):
    da = pytest.importorskip("dask.array")
    rng = np.random.default_rng(6)
    A, B = pair(rng, (37, 11, 19), "float64", "any", "either")
    out = kofn.ClusterArray(client, (37, 19), chunk_rows=10)
    given = da.from_array(A, chunks=(7, 4)), da.from_array(B, chunks=(5, 8))
    answer = kofn.matmul(*given, workers=client, code=code, rng=1, rows=8, out=out)
    assert answer.exact
    found = client.compute(out.to_dask()).result()
    assert excess(found, A, B, answer.amplification, 2.0**-52) <= 1.0
