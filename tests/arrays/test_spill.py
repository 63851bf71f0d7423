"""Results in a file without a name: round trips, a disk that is too small, what does not fit its place."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import kofn
from kofn.arrays._spill import SpillFile
from kofn.errors import ArgumentError, FileError


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


DTYPES = st.sampled_from([np.float32, np.float64, np.complex64, np.complex128])


@given(st.data(), DTYPES)
def test_results_come_back_as_they_went_in(data, dtype):
    shape = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    rows = data.draw(st.integers(1, 4))
    results = [data.draw(arrays.arrays(dtype, shape, elements={"allow_nan": False})) for _ in range(rows)]
    spill = SpillFile("f", tempfile.gettempdir(), rows, results[0].nbytes)
    kept = {row: spill.keep(row, results[row]) for row in data.draw(st.permutations(range(rows)))}
    for row, reader in kept.items():
        assert not isinstance(reader, np.ndarray)
        assert (reader.shape, reader.dtype, reader.nbytes) == (shape, dtype, results[row].nbytes)
        np.testing.assert_array_equal(reader[0 : shape[0]], results[row])


def test_what_does_not_fit_its_place_stays_in_memory(tmp_path):
    spill = SpillFile("f", tmp_path, 2, 32)
    for result in (np.zeros((3, 3)), np.zeros(4)):
        assert spill.keep(0, result) is result


def test_a_disk_that_becomes_full_is_told_of_by_name(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    rng = np.random.default_rng(0)
    A, B = rng.standard_normal((160, 20)), rng.standard_normal((20, 100))
    limit = A.nbytes + B.nbytes + A.shape[0] * B.shape[1] * 4
    call = {"code": "repetition", "blocks": (8, 1), "rows": 10, "memory_limit_bytes": limit, "scratch": tmp_path}
    with kofn.ThreadPool(2) as pool:
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", refuse)
            with pytest.raises(FileError, match=r"^kofn\.matmul: 'scratch' must .* 16000 bytes each, .*No space left"):
                kofn.matmul(A, B, workers=pool, **call)
        np.testing.assert_allclose(kofn.matmul(A, B, workers=pool, **call).value, A @ B)


def test_the_file_has_no_name_and_goes_with_the_last_result(tmp_path):
    before = descriptors()
    kept = SpillFile("f", tmp_path, 1, 32).keep(0, np.eye(2))
    assert list(tmp_path.iterdir()) == []
    np.testing.assert_array_equal(kept[0:2], np.eye(2))
    del kept
    assert descriptors() == before


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=99))
    with pytest.raises(ArgumentError, match=r"f: 'scratch' must be a folder with 100 bytes to spare"):
        SpillFile("f", tmp_path, 10, 10)
    SpillFile("f", tmp_path, 9, 11)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match=r"'scratch' must be a folder for results.*No such file"):
        SpillFile("f", tmp_path / "missing", 1, 1)
