"""Files of every kind that ``kofn matmul`` reads and writes, and one sentence for what cannot be one."""

import gzip
import itertools
import zipfile

import numpy as np
import pytest
import scipy.io
import scipy.sparse

import kofn
from kofn.arrays import FileMatrix
from kofn.arrays.formats import read_file
from kofn.cli import _matmul as command
from kofn.cli import main

RNG = np.random.default_rng(5)
LEFT, RIGHT = RNG.standard_normal((2, 12, 12)) * (RNG.random((2, 12, 12)) < 0.4)


def mtx(path, matrix, **options):
    with gzip.open(path, "wb") if path.suffix == ".gz" else path.open("wb") as file:
        scipy.io.mmwrite(file, matrix, symmetry="general", **options)


def zarr_of(path, matrix):
    zarr = pytest.importorskip("zarr")
    zarr.open_array(str(path), mode="w", shape=matrix.shape, chunks=(5, 7), dtype=matrix.dtype)[:] = matrix


def group_of(path, **arrays):
    zarr = pytest.importorskip("zarr")
    for name, matrix in arrays.items():
        zarr.open_group(str(path), mode="a").create_array(name, data=matrix)


WRITE = {
    "{}.npy": np.save,
    "{}.npz": lambda path, matrix: np.savez(path, only=matrix),
    "{}-packed.npz": lambda path, matrix: np.savez_compressed(path, only=np.asfortranarray(matrix)),
    "{}-two.npz:x": lambda path, matrix: np.savez(path, x=matrix, y=matrix + 1),
    "{}-sparse.npz": lambda path, matrix: scipy.sparse.save_npz(path, scipy.sparse.csc_array(matrix)),
    "{}.mtx": lambda path, matrix: mtx(path, scipy.sparse.coo_array(matrix)),
    "{}-dense.mtx": mtx,
    "{}.mtx.gz": lambda path, matrix: mtx(path, scipy.sparse.coo_array(matrix)),
    "{}.zarr": zarr_of,
    "{}-group.zarr:x": lambda path, matrix: group_of(path, x=matrix, y=matrix + 1),
}
"""By what is asked for: how such a file is made, by those who defined it."""

SPARSE = {"{}-sparse.npz", "{}.mtx", "{}.mtx.gz"}


def made(folder, form, name, matrix):
    """What is written on the command line, for a file that was made."""
    given = form.format(name)
    WRITE[form](folder / given.partition(":")[0], matrix)
    return given


def dense(found):
    return found.toarray() if scipy.sparse.issparse(found) else np.asarray(found[:])


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def multiply(A, B, out, *options):
    return main(["matmul", str(A), str(B), "--out", str(out), "--workers", "3", "--quiet", *options])


def sentence(capsys):
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.endswith(".\n"), err
    return err


# -- what is read -------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", WRITE)
def test_a_matrix_is_read_as_it_was_written(here, form):
    found = read_file(made(here, form, "A", LEFT), "A")
    assert scipy.sparse.issparse(found) == (form in SPARSE)
    np.testing.assert_array_equal(dense(found), LEFT)


WHOLE = np.round(9 * LEFT).astype(np.int64)


@pytest.mark.parametrize("form", [form for form in WRITE if form not in SPARSE])
def test_dense_integers_are_read_as_floats(here, form):
    found = read_file(made(here, form, "A", WHOLE), "A")
    assert found.dtype == float
    np.testing.assert_array_equal(dense(found), WHOLE)


def test_products_of_integers_are_what_they_should_be(here, threads):
    files = [made(here, "{}.npy", "A", WHOLE), made(here, "{}.zarr", "B", WHOLE.astype(np.int8))]
    assert multiply(*files, "C.npy", "--code", "uncoded") == 0
    assert np.load("C.npy").tolist() == (WHOLE @ WHOLE).tolist()


@pytest.mark.parametrize("form", ["{}.npy", "{}.npz", "{}-two.npz:x"])
def test_what_is_not_compressed_is_read_by_pieces(here, form):
    found = read_file(made(here, form, "A", np.asfortranarray(LEFT)), "A")
    assert isinstance(found, FileMatrix)
    np.testing.assert_array_equal(found[2:5, 3:9], LEFT[2:5, 3:9])


def test_chunks_of_zarr_are_read_one_by_one(here):
    found = read_file(made(here, "{}.zarr", "A", LEFT), "A")
    assert [LEFT[tile].shape for tile in found.chunks] == [(5, 7), (5, 5), (5, 7), (5, 5), (2, 7), (2, 5)]
    np.testing.assert_array_equal(found[[1, 7], 2:4], LEFT[[1, 7], 2:4])


HEADER = "%%MatrixMarket matrix coordinate "


@pytest.mark.parametrize(
    ("text", "is_this"),
    [
        ("real symmetric\n2 2 2\n1 1 3\n2 1 5\n", [[3, 5], [5, 0]]),
        ("real skew-symmetric\n2 2 1\n2 1 5\n", [[0, -5], [5, 0]]),
        ("complex hermitian\n2 2 1\n2 1 1 2\n", [[0, 1 - 2j], [1 + 2j, 0]]),
        ("pattern general\n2 2 1\n2 1\n", [[0, 0], [1, 0]]),
        ("integer general\n2 2 1\n2 1 7\n", [[0, 0], [7, 0]]),
    ],
)
def test_headers_of_matrix_market_are_heeded(here, text, is_this):
    (here / "A.mtx").write_text(HEADER + text)
    assert read_file("A.mtx", "A").toarray().tolist() == is_this


# -- what is written ----------------------------------------------------------------------------------

OUT = ["C.npy", "C.npz", "C.mtx", "C.mtx.gz", "C.zarr"]


@pytest.mark.parametrize(("forms", "out"), list(zip(itertools.pairwise([*WRITE, "{}.npy"]), itertools.cycle(OUT))))
def test_the_product_has_the_form_that_its_name_says(here, threads, capsys, forms, out):
    if ".zarr" in f"{forms}{out}":
        pytest.importorskip("zarr")
    files = [made(here, form, name, matrix) for form, name, matrix in zip(forms, "AB", (LEFT, RIGHT), strict=True)]
    sparse = set(forms) <= SPARSE
    if sparse and out in ("C.npy", "C.zarr"):
        assert multiply(*files, out) == 2
        assert "'--out' must end in .npz, .mtx or .mtx.gz where both matrices are sparse" in sentence(capsys)
        out = "C.npz"
    before = set(here.iterdir())
    assert multiply(*files, out) == 0, capsys.readouterr().err
    assert f"{out}: exact" in capsys.readouterr().out
    assert {path.name for path in set(here.iterdir()) - before} == {out}
    found = read_file(out, "C")
    assert scipy.sparse.issparse(found) == sparse
    np.testing.assert_allclose(dense(found), LEFT @ RIGHT, atol=1e-12)


def test_numbers_of_matrix_market_come_back_to_the_last_bit(here, threads):
    exact = scipy.sparse.csr_array(LEFT) @ scipy.sparse.csr_array(RIGHT)
    files = [made(here, "{}.mtx", name, matrix) for name, matrix in (("A", LEFT), ("B", RIGHT))]
    assert multiply(*files, "C.mtx") == 0
    np.testing.assert_array_equal(read_file("C.mtx", "C").toarray(), exact.toarray())


def test_a_zarr_array_is_replaced_and_nothing_else_is(here, threads, capsys):
    pytest.importorskip("zarr")
    np.save("A.npy", LEFT)
    assert multiply("A.npy", "A.npy", "C.zarr") == multiply("A.npy", "A.npy", "C.zarr") == 0
    assert sorted(path.name for path in here.iterdir()) == ["A.npy", "C.zarr"]
    (here / "D.zarr").mkdir()
    (here / "D.zarr" / "thesis.tex").touch()
    capsys.readouterr()
    assert multiply("A.npy", "A.npy", "D.zarr") == 2
    assert "'--out' must be a Zarr array, or a new name, but got D.zarr" in sentence(capsys)
    assert (here / "D.zarr" / "thesis.tex").exists()


@pytest.mark.parametrize("out", ["C.mtx.gz", "C.zarr", "C.npz"])
def test_what_fails_leaves_no_file(here, monkeypatch, capsys, out):
    def failing(A, B, **options):
        raise kofn.TaskError("the task of row 0 raised MemoryError at worker 1: too much.", 1, 0)

    if out == "C.zarr":
        pytest.importorskip("zarr")
    monkeypatch.setattr(command, "matmul", failing)
    np.save("A.npy", LEFT)
    assert multiply("A.npy", "A.npy", out) == 1
    assert "nothing was written" in sentence(capsys)
    assert [path.name for path in here.iterdir()] == ["A.npy"]


# -- what is refused ----------------------------------------------------------------------------------


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


def spoilt(path, place=None):
    """A file with some of its bytes turned round."""
    data = bytearray(path.read_bytes())
    place = len(data) // 2 if place is None else place
    data[place : place + 40] = bytes(255 - one for one in data[place : place + 40])
    path.write_bytes(data)


def sparse_with(path, **members):
    """A sparse matrix of SciPy's, of which some members are something else."""
    scipy.sparse.save_npz(path, scipy.sparse.csr_array(LEFT))
    with np.load(path) as archive:
        found = dict(archive)
    np.savez(path, **{**found, **members})


LARGE = RNG.standard_normal((300, 300))


def text(said):
    return lambda path: path.write_text(said)


BAD = {
    "cut.npz": (lambda p: (np.savez(p, LEFT), cut(p, 700)), "'A' must be a whole .npz archive"),
    "spoilt.npz": (lambda p: (np.savez_compressed(p, LARGE), spoilt(p)), "'A' must be a whole .npz archive"),
    "text.npz": (text("hello"), "'A' must be a whole .npz archive"),
    "none.npz": (lambda p: zipfile.ZipFile(p, "w").close(), "but got none.npz with no array"),
    "objects.npz": (lambda p: np.savez(p, np.array([[{}]])), "with pickled Python objects"),
    "large.npz": (lambda p: np.savez(p, np.full((2, 2), 1 << 60)), "2**53 at least, which float64 has exactly"),
    "bits.npz": (lambda p: np.savez(p, LEFT > 0), "'A' must hold float32, float64, complex numbers or integers"),
    "cube.npz": (lambda p: np.savez(p, np.ones((2, 2, 2))), "'A' must have 2 dimensions"),
    "two.npz": (lambda p: np.savez(p, x=LEFT, y=LEFT), "two.npz with x, y; write two.npz:x, for example"),
    "two.npz:z": (lambda p: np.savez(p, x=LEFT), "'A' must name an array of two.npz, but got z; it holds x"),
    "far.npz": (lambda p: sparse_with(p, indices=np.full((LEFT != 0).sum(), 99)), "hold a whole sparse matrix"),
    "strange.npz": (lambda p: sparse_with(p, format=np.array(b"xyz")), "hold a whole sparse matrix"),
    "pickled.npz": (lambda p: sparse_with(p, data=np.array([{}])), "hold a whole sparse matrix"),
    "cut.mtx": (text(HEADER + "real general\n2 2 3\n1 1 1\n2 2 2\n"), "be a whole Matrix Market"),
    "wide.mtx": (text(HEADER + "real general\n9 9 99999999999\n1 1 1\n"), "cannot hold 99999999999"),
    "out.mtx": (text(HEADER + "real general\n2 2 1\n3 1 1\n"), "Row index out of bounds"),
    "words.mtx": (text(HEADER + "real general\n2 2 1\n1 1 one\n"), "must be a whole Matrix Market"),
    "nan.mtx": (text(HEADER + "real general\n12 12 1\n1 1 nan\n"), "'A' must be a matrix of finite"),
    "oblong.mtx": (text(HEADER + "real symmetric\n2 3 1\n2 1 1\n"), "be square where its header says"),
    "real.mtx": (text(HEADER + "real hermitian\n2 2 1\n2 1 1\n"), "be complex where its header says"),
    "vector.mtx": (text("%%MatrixMarket vector array real general\n2\n"), "be a whole Matrix Market"),
    "text.mtx": (text("hello"), "'A' must be a whole Matrix Market file"),
    "cut.mtx.gz": (lambda p: (mtx(p, LEFT), cut(p, 300)), "'A' must be a whole Matrix Market file"),
    "text.mtx.gz": (text("hello"), "'A' must be a whole Matrix Market file"),
    "no.mtx": (lambda p: None, "'A' must be a file that can be read, but got no.mtx (No such file or directory)"),
    "cube.zarr": (lambda p: zarr_of_cube(p), "'A' must have 2 dimensions"),
    "group.zarr": (lambda p: group_of(p, x=LEFT, y=LEFT), "but got group.zarr with x, y; write group.zarr:x"),
    "empty.zarr": (lambda p: p.mkdir(), "'A' must be a Zarr array that can be read"),
    "spoilt.zarr": (lambda p: (zarr_of(p, LEFT), spoilt(p / "c" / "0" / "0", 0)), "a chunk of spoilt.zarr cannot"),
}  # fmt: skip
"""By name: how such a file comes to be, and what is said of it."""


def zarr_of_cube(path):
    pytest.importorskip("zarr").open_array(str(path), mode="w", shape=(2, 2, 2), dtype="f8")


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_gets_one_sentence_and_nothing_is_left(here, threads, capsys, name):
    make, part = BAD[name]
    if ".zarr" in name:
        pytest.importorskip("zarr")
    make(here / name.partition(":")[0])
    np.save("B.npy", RIGHT)
    before = set(here.iterdir())
    assert multiply(name, "B.npy", "C.npy") == 2
    assert part in sentence(capsys)
    assert set(here.iterdir()) == before


def test_a_name_that_says_no_kind_of_file_is_refused(here, capsys):
    np.save("A.npy", LEFT)
    assert multiply("A.npy", "A.npy", "C.csv") == 2
    assert "'--out' must end in one of .npy, .npz, .mtx, .mtx.gz, .zarr, but got C.csv" in sentence(capsys)


def test_a_product_is_not_written_over_the_archive_that_it_is_read_from(here, capsys):
    np.savez("data.npz", x=LEFT, y=RIGHT)
    assert multiply("data.npz:x", "data.npz:y", "data.npz") == 2
    assert "'--out' must be another file than" in sentence(capsys)


def test_without_zarr_it_says_what_to_install(here, monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "zarr", None)
    (here / "A.zarr").mkdir()
    np.save("B.npy", RIGHT)
    assert multiply("A.zarr", "B.npy", "C.npy") == 2
    assert "needs Zarr; install it with pip install 'kofn[zarr]'" in sentence(capsys)
