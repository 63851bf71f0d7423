"""Reading refuses what is not a whole numeric matrix; writing replaces a file or leaves it as it was."""

import errno
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest

from kofn.arrays._file import Descriptor, FileMatrix
from kofn.arrays._npy import check_target, read_matrix, replacing, write_matrix
from kofn.errors import FileError


def saved(path, array, **options):
    np.save(path, array, **options)
    return path


def names(folder):
    return [path.name for path in folder.iterdir()]


def refusal(path, argument="A"):
    with pytest.raises(FileError) as caught:
        read_matrix(path, argument)
    sentence = str(caught.value)
    assert sentence.startswith(f"kofn: {argument!r} must ") and sentence.endswith(".")
    assert "; " in sentence and "\n" not in sentence
    return sentence


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_it_reads_what_numpy_saved(tmp_path, dtype, order):
    matrix = np.arange(12).reshape(3, 4).astype(dtype, order=order)
    found = read_matrix(saved(tmp_path / "A.npy", matrix), "A")
    assert found.dtype == matrix.dtype and np.array_equal(found, matrix)


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_it_reads_every_version_of_the_format(tmp_path, version):
    with (tmp_path / "A.npy").open("wb") as file:
        np.lib.format.write_array(file, np.eye(3), version=version)
    assert np.array_equal(read_matrix(tmp_path / "A.npy", "A"), np.eye(3))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (1, 1)])
def test_it_reads_small_and_empty_matrices(tmp_path, shape):
    assert read_matrix(saved(tmp_path / "A.npy", np.ones(shape)), "A").shape == shape


def test_only_what_is_asked_for_is_read(tmp_path):
    name = saved(tmp_path / "A.npy", np.ones((2, 2)))
    opened = read_matrix(name, "A")
    os.truncate(name, name.stat().st_size - 8)
    with name.open("rb") as file:
        found = FileMatrix(Descriptor(file.fileno()), (2, 2), float, 128)
    assert np.array_equal(found[:1], np.ones((1, 2)))
    with pytest.raises(OSError, match="cut short"):
        found[1:]
    with pytest.raises(FileError, match="was changed or replaced while it was in use"):
        opened[:1]


def test_a_missing_file_is_refused(tmp_path):
    assert "No such file" in refusal(tmp_path / "none.npy")


def test_a_folder_a_device_and_a_pipe_are_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, Path(os.devnull), tmp_path / "pipe"):
        assert "file" in refusal(path)


def test_a_file_cut_short_is_refused(tmp_path):
    path = saved(tmp_path / "A.npy", np.ones((10, 10)))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert "800 bytes of numbers" in refusal(path) and "with 799" in refusal(path)
    path.write_bytes(whole[:50])
    assert "whole header" in refusal(path)
    path.write_bytes(b"")
    assert "whole header" in refusal(path)


def test_a_header_that_promises_too_much_is_refused_without_allocating(tmp_path):
    path = saved(tmp_path / "A.npy", np.ones((10, 10)))
    path.write_bytes(path.read_bytes().replace(b"(10, 10), }    ", b"(9999999999,9)}"))
    assert "bytes of numbers" in refusal(path)


@pytest.mark.parametrize(
    "header",
    [b"{'descr': '<f8', 'fortran_order': False, 'shape': (-2, -2)}", b"__import__('os')", b"[" * 5000, b"{}"],
)
def test_a_strange_header_is_refused(tmp_path, header):
    path = tmp_path / "A.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64))
    assert "whole header" in refusal(path)


def test_pickled_objects_are_refused_and_never_loaded(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    path = saved(tmp_path / "A.npy", np.array([[Trap()]], dtype=object), allow_pickle=True)
    assert "pickled Python objects" in refusal(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("dtype", ["bool", "U3", "M8[s]", "f2", "i4,f8"])
def test_other_types_are_refused(tmp_path, dtype):
    assert "float32, float64, complex numbers or integers" in refusal(
        saved(tmp_path / "A.npy", np.zeros((2, 2), dtype))
    )


@pytest.mark.parametrize("order", "CF")
@pytest.mark.parametrize("dtype", ["i1", "u4", "i8", ">i8", "u8"])
def test_integers_are_read_as_the_floats_that_they_are(tmp_path, dtype, order):
    ends = np.iinfo(dtype)
    most, least = min(ends.max, 2**53), max(ends.min, -(2**53))
    matrix = np.array([[most, 3, 0], [least, 1, most - 1]], dtype, order=order)
    found = read_matrix(saved(tmp_path / "A.npy", matrix), "A")
    assert found.dtype == float and found[:].tolist() == matrix.tolist()  # Python compares them to the last digit
    assert found[1:, :2].tolist() == [[least, 1]]


@pytest.mark.parametrize(("dtype", "number"), [("i8", 2**53 + 1), ("i8", -(2**63)), ("u8", 2**64 - 1)])
def test_integers_that_floats_do_not_have_are_refused(tmp_path, dtype, number):
    matrix = np.zeros((3, 2), dtype)
    matrix[2, 1] = number
    assert (
        f"2**53 at most, and -2**53 at least, which float64 has exactly, but got {tmp_path}/A.npy with {number};"
        in (refusal(saved(tmp_path / "A.npy", matrix)))
    )


@pytest.mark.parametrize("shape", [(), (4,), (2, 2, 1)])
def test_other_dimensions_are_refused(tmp_path, shape):
    assert "2 dimensions" in refusal(saved(tmp_path / "A.npy", np.ones(shape)), "B")


def test_text_and_archives_are_refused(tmp_path):
    (tmp_path / "a.npy").write_text("1 2 3\n4 5 6\n")
    np.savez(tmp_path / "b.npz", A=np.eye(2))
    assert "whole header" in refusal(tmp_path / "a.npy")
    assert "whole header" in refusal(tmp_path / "b.npz")


# -- writing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("matrix", [np.eye(3), np.eye(3, dtype=np.complex64).T, np.zeros((0, 4)), np.ones((5, 4))[::2]])
def test_what_is_written_is_what_numpy_loads(tmp_path, matrix):
    write_matrix(tmp_path / "C.npy", matrix)
    found = np.load(tmp_path / "C.npy")
    assert found.dtype == matrix.dtype and np.array_equal(found, matrix)
    assert names(tmp_path) == ["C.npy"]


def test_an_old_file_is_replaced_and_keeps_its_mode(tmp_path):
    path = saved(tmp_path / "C.npy", np.ones(1))
    path.chmod(0o640)
    write_matrix(path, np.eye(2))
    assert np.array_equal(np.load(path), np.eye(2)) and path.stat().st_mode & 0o777 == 0o640


def test_a_link_stays_a_link(tmp_path):
    saved(tmp_path / "real.npy", np.ones(1))
    (tmp_path / "link.npy").symlink_to(tmp_path / "real.npy")
    write_matrix(tmp_path / "link.npy", np.eye(2))
    assert (tmp_path / "link.npy").is_symlink() and np.load(tmp_path / "real.npy").shape == (2, 2)


def test_when_writing_fails_the_old_file_is_whole_and_nothing_else_remains(tmp_path, monkeypatch):
    path = saved(tmp_path / "C.npy", np.arange(3))

    def full(number):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match=r"No space left on device.*nothing there was changed"):
        write_matrix(path, np.eye(100), "--out")
    assert np.array_equal(np.load(path), np.arange(3)) and names(tmp_path) == ["C.npy"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_interrupt_leaves_the_old_file_and_passes_on(tmp_path, error):
    path = saved(tmp_path / "C.npy", np.arange(3))
    with pytest.raises(error), replacing(path, "--out") as file:
        file.write(b"half")
        raise error
    assert np.array_equal(np.load(path), np.arange(3)) and names(tmp_path) == ["C.npy"]


def test_a_good_place_is_accepted_and_left_as_it_is(tmp_path):
    path = saved(tmp_path / "C.npy", np.arange(3))
    check_target(path, "--out", 1000)
    check_target(tmp_path / "new.npy", "--out", 1000)
    assert np.array_equal(np.load(path), np.arange(3)) and names(tmp_path) == ["C.npy"]


@pytest.mark.parametrize(
    ("place", "what"),
    [("", "a folder"), ("none/C.npy", "folder that exists"), ("/dev/null", "device or pipe")],
)
def test_a_bad_place_is_refused(tmp_path, place, what):
    with pytest.raises(FileError, match=what):
        check_target(tmp_path / place, "--out")


@pytest.mark.parametrize("name", ["C" * 300, "circle.npy", "null\0byte.npy"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path, name):
    (tmp_path / "circle.npy").symlink_to("circle.npy")
    for refuse in (check_target, lambda path, argument: write_matrix(path, np.eye(2), argument)):
        with pytest.raises(FileError, match="'--out' must be a file that can be written"):
            refuse(tmp_path / name, "--out")
    assert names(tmp_path) == ["circle.npy"]


def test_a_disk_without_room_is_refused_before_anything(tmp_path):
    with pytest.raises(FileError, match=r"'--out' must lie on a disk with 1\d* bytes to spare"):
        check_target(tmp_path / "C.npy", "--out", 10**18)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 256 KiB; only root can make one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if os.geteuid() != 0 or mount is None or umount is None:
        pytest.skip("needs root")
    made = subprocess.run([mount, "-t", "tmpfs", "-o", "size=256k", "kofn-test", place], capture_output=True)
    if made.returncode:
        pytest.skip("mounting is not allowed here")
    yield place
    subprocess.run([umount, place], check=True)


def test_a_full_disk_leaves_the_old_file_whole(small_disk):
    path = saved(small_disk / "C.npy", np.arange(3))
    with pytest.raises(FileError, match="bytes to spare"):
        check_target(path, "--out", 1 << 20)
    with pytest.raises(FileError, match="No space left on device"):
        write_matrix(path, np.zeros((400, 400)), "--out")
    assert np.array_equal(np.load(path), np.arange(3)) and names(small_disk) == ["C.npy"]


def test_a_read_only_disk_is_refused_before_anything(small_disk):
    path = saved(small_disk / "C.npy", np.arange(3))
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(FileError, match="Read-only file system"):
        check_target(path, "--out", 100)
    with pytest.raises(FileError, match="Read-only file system"):
        write_matrix(path, np.eye(2), "--out")
    assert np.array_equal(np.load(path), np.arange(3))


PLACES = [
    np.s_[::2], np.s_[::-1], np.s_[:, ::2], np.s_[::3, 1:3], np.s_[1:7:2, ::-2], np.s_[-3:], np.s_[5:2], np.s_[:, 9:],
    np.s_[[0, -1]], np.s_[:, [-1, 0, 2]], np.s_[np.arange(8) % 3 == 0], np.s_[...], np.s_[[]], np.s_[1:3, [4, -5]],
]  # fmt: skip


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_matrix_in_a_file_is_read_and_written_where_numpy_would(tmp_path, order):
    A = np.arange(48.0).reshape(8, 6)
    np.save(tmp_path / "A.npy", np.asarray(A, order=order))
    read = read_matrix(tmp_path / "A.npy", "A")
    for place in PLACES:
        assert np.array_equal(read[place], A[place]), place
        with tempfile.TemporaryFile() as file:
            written = FileMatrix(Descriptor(file.fileno()), A.shape, float, 16, by_columns=order == "F")
            written[:] = expected = A.copy()
            for values in (-expected[place], 7.0):
                written[place] = expected[place] = values
                assert np.array_equal(written[:], expected), place
    for place in (np.s_[8:, [6]], [8], [-9], 3, np.s_[2, 3], np.s_[[0, 1], [2, 3]], [True] * 3, [0.5], np.s_[:, :, 0]):
        with pytest.raises(IndexError):
            read[place]
        with tempfile.TemporaryFile() as file, pytest.raises(IndexError):
            FileMatrix(Descriptor(file.fileno()), A.shape, float)[place] = 0.0
    with tempfile.TemporaryFile() as file, pytest.raises(ValueError, match="broadcast"):
        FileMatrix(Descriptor(file.fileno()), A.shape, float)[2:4] = A  # which would go on in later rows
