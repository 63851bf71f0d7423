"""What docs/security.md says: who can connect, what is read, what is left on disk."""

from __future__ import annotations

import io
import json
import os
import pickle
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import kofn
from kofn.arrays._npy import read_matrix
from kofn.arrays._spill import SpillFile
from kofn.errors import FileError
from kofn.testing._belongings import child_processes
from kofn.tuning.learned import load_code
from processes import linux


def listening(processes):
    """Inodes of internet sockets that wait for connections, of those processes."""
    waiting = set()
    for table in ("tcp", "tcp6"):
        with suppress(FileNotFoundError):
            lines = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
            waiting |= {line.split()[9] for line in lines if line.split()[3] == "0A"}
    held = set()
    for process in processes:
        for path in Path(f"/proc/{process}/fd").glob("*"):
            with suppress(OSError):
                held.add(str(path.readlink()))
    return {inode for inode in waiting if f"socket:[{inode}]" in held}


@linux
def test_nobody_can_connect_to_local_processes_and_nothing_of_them_has_a_name_in_shared_memory():
    before, named = listening([os.getpid()]), set(os.listdir("/dev/shm"))  # noqa: PTH208
    others = set(child_processes())  # a cluster of another test, say, which does listen
    with kofn.LocalPool(2) as pool:
        A = np.random.default_rng(0).standard_normal((200, 200))
        assert kofn.matmul(A, A, workers=pool, code="mds").exact
        ours = {os.getpid(), *pool.pids(), *(set(child_processes()) - others)}
        assert listening(ours) <= before
        mine = [path for path in Path("/dev/shm").iterdir() if path.name not in named and "kofn" in path.name]
        assert not mine


@linux
def test_results_that_wait_in_a_file_have_neither_a_name_nor_readers(tmp_path):
    spill = SpillFile("f", tmp_path, 1, 32)
    kept = spill.keep(0, np.eye(2))
    assert not list(tmp_path.iterdir()) and kept is not None
    assert stat.S_IMODE(os.fstat(spill._file.number).st_mode) == 0o600
    with tempfile.TemporaryFile() as file:
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o600


class Evil:
    """What a pickle could do."""

    def __reduce__(self):
        return os.mkdir, ("was-here",)


def test_a_matrix_in_a_file_is_never_unpickled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("evil.npy", np.array([[Evil()]], dtype=object), allow_pickle=True)
    (tmp_path / "plain.npy").write_bytes(pickle.dumps(Evil()))
    for name in ("evil.npy", "plain.npy"):
        with pytest.raises(FileError):
            read_matrix(name, "A")
    with suppress(kofn.KofnError, ValueError):
        kofn.engines.Delays().load("evil.npy")
    assert not (tmp_path / "was-here").exists()


HEADERS = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=200).map(str.encode),
    st.integers(1, 3000).map(lambda n: b"(" * n),
    st.fixed_dictionaries(
        {"descr": st.sampled_from(["<f8", "|O", "<c16", "x", ""]), "fortran_order": st.booleans() | st.none(),
         "shape": st.lists(st.integers(-3, 2**70), max_size=4).map(tuple)}
    ).map(lambda header: repr(header).encode()),
)  # fmt: skip


@given(HEADERS, st.sampled_from([(1, 0), (2, 0), (3, 0), (9, 9)]), st.binary(max_size=64))
def test_any_header_of_a_matrix_is_read_or_refused(header, version, rest):
    file = io.BytesIO()
    file.write(b"\x93NUMPY" + bytes(version) + len(header).to_bytes(2 if version == (1, 0) else 4, "little"))
    file.write(header + rest)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.npy"
        path.write_bytes(file.getvalue())
        with suppress(FileError):
            read_matrix(path, "A")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
)
HEADER = st.fixed_dictionaries({"format": st.just("kofn learned code 1"), "tensors": JSON, "terms": JSON})


@given(st.one_of(st.binary(max_size=50), JSON.map(lambda v: json.dumps(v).encode()),
                 HEADER.map(lambda v: json.dumps(v).encode())), st.binary(max_size=50))  # fmt: skip
def test_any_file_of_a_learned_code_is_read_or_refused(text, tensors):
    pytest.importorskip("safetensors")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "code.safetensors"
        path.write_bytes(tensors)
        path.with_suffix(".json").write_bytes(text)
        with pytest.raises(FileError):
            load_code(path)


def test_a_learned_code_that_is_nested_without_end_is_refused(tmp_path):
    (tmp_path / "code.json").write_bytes(b"[" * 100_000)
    with pytest.raises(FileError, match="must be a JSON file that can be read"):
        load_code(tmp_path / "code.safetensors")


def test_the_key_of_a_check_is_new_in_each_plan_and_told_nobody():
    scheme = kofn.schemes.uncoded(np.eye(4), np.eye(4), workers=2)
    with kofn.ThreadPool(2) as pool:
        plans = [kofn.prepare(scheme, pool, verify="correct") for _ in range(2)]
        answer = plans[0].run()
        said = repr(plans[0]) + repr(answer) + str(answer.report) + json.dumps(answer.report.to_dict())
        for plan in plans:
            plan.close()
    keys = {plan._secret for plan in plans}
    assert len(keys) == 2 and not any(str(key) in said for key in keys)
